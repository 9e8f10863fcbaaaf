import { generateKeyPair, type KeyObject } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { rsaPair } from "./rsa.ts";

export const ALGORITHMS = ["RSA-2048", "RSA-3072", "RSA-4096", "P-256", "P-384", "P-521"] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** The encodings of a private key. PKCS#1 is RSA's own and SEC 1 the elliptic curves'. */
export const PRIVATE_FORMS = ["own.pem", "own.der", "pkcs8.pem", "pkcs8.der", "jwk", "jwks"] as const;
export type PrivateForm = (typeof PRIVATE_FORMS)[number];

export const PUBLIC_FORMS = ["spki.pem", "spki.der", "jwk"] as const;
export type PublicForm = (typeof PUBLIC_FORMS)[number];

/** One key pair, written in every form to a folder of its own for each. */
export interface KeyFiles {
  readonly algorithm: Algorithm;
  readonly privateKey: KeyObject;
  /** The path of the file that holds the private key, alone in its folder, in that form. */
  privatePath(form: PrivateForm): string;
  publicPath(form: PublicForm): string;
}

const generate = promisify(generateKeyPair);

export async function writeKeys(folder: string, algorithm: Algorithm): Promise<KeyFiles> {
  const isRsa = algorithm.startsWith("RSA");
  const { publicKey, privateKey } = isRsa
    ? rsaPair(Number(algorithm.slice(4)))
    : await generate("ec", { namedCurve: algorithm });
  const own = isRsa ? "pkcs1" : "sec1";
  const jwk = privateKey.export({ format: "jwk" });
  const privateForms: Record<PrivateForm, string | Buffer> = {
    "own.pem": privateKey.export({ type: own, format: "pem" }),
    "own.der": privateKey.export({ type: own, format: "der" }),
    "pkcs8.pem": privateKey.export({ type: "pkcs8", format: "pem" }),
    "pkcs8.der": privateKey.export({ type: "pkcs8", format: "der" }),
    jwk: JSON.stringify(jwk),
    jwks: JSON.stringify({ keys: [jwk] }),
  };
  const publicForms: Record<PublicForm, string | Buffer> = {
    "spki.pem": publicKey.export({ type: "spki", format: "pem" }),
    "spki.der": publicKey.export({ type: "spki", format: "der" }),
    jwk: JSON.stringify(publicKey.export({ format: "jwk" })),
  };
  const write = (kind: string, forms: Record<string, string | Buffer>) => {
    for (const [form, content] of Object.entries(forms)) {
      mkdirSync(join(folder, algorithm, kind, form), { recursive: true });
      writeFileSync(join(folder, algorithm, kind, form, "key"), content);
    }
    return (form: string) => join(folder, algorithm, kind, form, "key");
  };
  return {
    algorithm,
    privateKey,
    privatePath: write("private", privateForms),
    publicPath: write("public", publicForms),
  };
}
