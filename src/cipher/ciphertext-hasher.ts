import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";

/** HMAC-SHA256, and SHA-256 where the digest is wanted, too. */
export const HASH_BYTES = 32;

/** What is computed over a layer's ciphertext as it passes. */
export class CiphertextHasher {
  readonly #hmac: Hmac;
  readonly #sha256: Hash | undefined;

  constructor(key: Uint8Array, withSha256: boolean) {
    this.#hmac = createHmac("sha256", key);
    this.#sha256 = withSha256 ? createHash("sha256") : undefined;
  }

  update(ciphertext: Uint8Array): void {
    this.#hmac.update(ciphertext);
    this.#sha256?.update(ciphertext);
  }

  /** The HMAC, followed by the SHA-256 if it is computed. */
  digest(): Uint8Array {
    const hmac = this.#hmac.digest();
    return this.#sha256 === undefined ? hmac : Buffer.concat([hmac, this.#sha256.digest()]);
  }
}
