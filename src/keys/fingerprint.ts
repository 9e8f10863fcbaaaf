import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import type { AsymmetricKey } from "./keyset.ts";

/** SHA-256 over the SubjectPublicKeyInfo: "sha256:<64 hex digits>". The same as `openssl pkey -pubout -outform DER | sha256sum`. */
export function fingerprint(key: AsymmetricKey): string {
  const privateKey = createPrivateKey({ key: Buffer.from(key.pkcs8.bytes), format: "der", type: "pkcs8" });
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return `sha256:${createHash("sha256").update(spki).digest("hex")}`;
}
