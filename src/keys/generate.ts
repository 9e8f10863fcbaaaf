import { createHash, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { publicFingerprint } from "./fingerprint.ts";
import type { Curve } from "./keyset.ts";

export type KeyPairKind =
  | { readonly type: "rsa" /** Of the modulus. */; readonly bits: number }
  | { readonly type: "ec"; readonly curve: Curve };

export interface KeyPair {
  /** PKCS#8 and SPKI in PEM, or JWKs. */
  readonly privateKey: string;
  readonly publicKey: string;
  /** RFC 7638: the JWK's SHA-256 thumbprint, base64url. It is the `kid` of the JWKs. */
  readonly thumbprint: string;
  /** Of the public key, as all messages tell it. */
  readonly fingerprint: string;
}

/** RFC 7638 §3.2: the members of a thumbprint, in the order of their names. */
const THUMBPRINT_MEMBERS: ReadonlyMap<string, readonly string[]> = new Map([
  ["RSA", ["e", "kty", "n"]],
  ["EC", ["crv", "kty", "x", "y"]],
]);

const generate = promisify(generateKeyPair);

/** A new key pair for wrapping layer keys. */
export async function generateKeys(kind: KeyPairKind, format: "pem" | "jwk"): Promise<KeyPair> {
  const { privateKey, publicKey } =
    kind.type === "rsa"
      ? await generate("rsa", { modulusLength: kind.bits })
      : await generate("ec", { namedCurve: kind.curve });
  const names = {
    thumbprint: thumbprintOf({ ...publicKey.export({ format: "jwk" }) }),
    fingerprint: publicFingerprint(publicKey),
  };
  if (format === "pem") {
    return {
      privateKey: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
      publicKey: publicKey.export({ format: "pem", type: "spki" }).toString(),
      ...names,
    };
  }
  const alg = kind.type === "rsa" ? "RSA-OAEP" : "ECDH-ES+A256KW";
  const jwk = (key: KeyObject) =>
    `${JSON.stringify({ ...key.export({ format: "jwk" }), kid: names.thumbprint, use: "enc", alg })}\n`;
  return { privateKey: jwk(privateKey), publicKey: jwk(publicKey), ...names };
}

/** RFC 7638 §3.1 */
export function thumbprintOf(jwk: Readonly<Record<string, unknown>>): string {
  const members = THUMBPRINT_MEMBERS.get(String(jwk["kty"]));
  if (members === undefined) throw new Error("bug: no thumbprint is known for this kind of key");
  const required = Object.fromEntries(members.map((name) => [name, jwk[name]]));
  return createHash("sha256").update(JSON.stringify(required)).digest("base64url");
}
