import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import type { AsymmetricKey } from "./keyset.ts";

/** SHA-256 over the SubjectPublicKeyInfo: "sha256:<64 hex digits>". The same as `openssl pkey -pubout -outform DER | sha256sum`. */
export function fingerprint(key: AsymmetricKey): string {
  const privateKey = createPrivateKey({ key: Buffer.from(key.pkcs8.bytes), format: "der", type: "pkcs8" });
  return publicFingerprint(createPublicKey(privateKey));
}

/** The same of a public key. */
export function publicFingerprint(key: KeyObject): string {
  return `sha256:${createHash("sha256")
    .update(key.export({ format: "der", type: "spki" }))
    .digest("hex")}`;
}

/** "sha256:0123456789abcdef": enough of a fingerprint for people. */
export function shortFingerprint(whole: string): string {
  return whole.slice(0, "sha256:".length + 16);
}
