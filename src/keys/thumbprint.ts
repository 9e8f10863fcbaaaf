import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import type { AsymmetricKey } from "./keyset.ts";

/**
 * A key has one name everywhere: in messages, in the audit log, in what `inspect`, `doctor` and `keygen` print, and as the
 * recipient of a JWE. It is the JWK's own `kid`, or else the RFC 7638 thumbprint, which follows from the public key alone.
 */

/** RFC 7638 §3.2: the required members of a JWK, in lexical order. */
const MEMBERS: ReadonlyMap<unknown, readonly string[]> = new Map<unknown, readonly string[]>([
  ["RSA", ["e", "kty", "n"]],
  ["EC", ["crv", "kty", "x", "y"]],
]);

/** The SHA-256 thumbprint of an RSA or EC key, base64url (RFC 7638 §3.1). */
export function thumbprint(jwk: Readonly<Record<string, unknown>>): string {
  const members = MEMBERS.get(jwk["kty"]);
  if (members === undefined) throw new Error("bug: there is no thumbprint for this type of key");
  const required = Object.fromEntries(members.map((name) => [name, jwk[name]]));
  return createHash("sha256").update(JSON.stringify(required)).digest("base64url");
}

/** The thumbprint of a private key. @throws Error when the key's numbers are inconsistent */
export function thumbprintOf({ pkcs8 }: AsymmetricKey): string {
  const { buffer, byteOffset, byteLength } = pkcs8.bytes;
  const der = Buffer.from(buffer, byteOffset, byteLength);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return thumbprint({ ...createPublicKey(key).export({ format: "jwk" }) });
}

/** The thumbprint of each key that has one. */
export function thumbprints(keys: readonly AsymmetricKey[]): ReadonlyMap<AsymmetricKey, string> {
  const found = new Map<AsymmetricKey, string>();
  for (const key of keys) {
    try {
      found.set(key, thumbprintOf(key));
    } catch {
      // A key with inconsistent numbers opens nothing anyway.
    }
  }
  return found;
}

/** The name of a key. @throws Error as {@link thumbprintOf} */
export function kidOf(key: AsymmetricKey): string {
  return key.kid ?? thumbprintOf(key);
}
