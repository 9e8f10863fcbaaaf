import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { writePem } from "../encoding/pem-writer.ts";
import type { Secret } from "../secret.ts";
import type { Curve } from "./keyset.ts";
import { thumbprint } from "./thumbprint.ts";

export type KeyPairKind =
  | { readonly type: "rsa" /** Size of the modulus. */; readonly bits: number }
  | { readonly type: "ec"; readonly curve: Curve };

interface KeyPair {
  /** PKCS#8 and SPKI in PEM, or JWKs. */
  readonly privateKey: string;
  readonly publicKey: string;
  /** The key's name: its RFC 7638 thumbprint, which is also the `kid` of the JWKs. */
  readonly kid: string;
}

const generate = promisify(generateKeyPair);

/**
 * Makes a key pair for wrapping layer keys.
 * @param password encrypts the private key, which must be PEM
 */
export async function generateKeys(
  kind: KeyPairKind,
  format: "pem" | "jwk",
  password?: Secret,
): Promise<KeyPair> {
  const { privateKey, publicKey } =
    kind.type === "rsa"
      ? await generate("rsa", { modulusLength: kind.bits })
      : await generate("ec", { namedCurve: kind.curve });
  const kid = thumbprint({ ...publicKey.export({ format: "jwk" }) });
  if (format === "pem") {
    return {
      privateKey: await privatePem(privateKey, password),
      publicKey: publicKey.export({ format: "pem", type: "spki" }).toString(),
      kid,
    };
  }
  const alg = kind.type === "rsa" ? "RSA-OAEP" : "ECDH-ES+A256KW";
  const jwk = (key: KeyObject) =>
    `${JSON.stringify({ ...key.export({ format: "jwk" }), kid, use: "enc", alg })}\n`;
  return { privateKey: jwk(privateKey), publicKey: jwk(publicKey), kid };
}

async function privatePem(key: KeyObject, password: Secret | undefined): Promise<string> {
  if (password === undefined) return key.export({ format: "pem", type: "pkcs8" }).toString();
  const { encryptPkcs8 } = await import("./encrypted-key.ts");
  const der = await encryptPkcs8(new Uint8Array(key.export({ format: "der", type: "pkcs8" })), password);
  return writePem("ENCRYPTED PRIVATE KEY", der);
}
