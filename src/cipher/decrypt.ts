import { createDecipheriv, createHmac, type Decipheriv, type Hmac } from "node:crypto";
import { isSameHmac } from "./authenticator.ts";
import { notAuthentic } from "./ciphertext-check.ts";
import type { LayerOptions } from "./options.ts";

/**
 * Decrypts a layer piece by piece, for callers that hide the plaintext until `finish` has approved the ciphertext. A decoder call
 * uses `releaseLayer` instead.
 */
export class LayerDecryptor {
  readonly #decipher: Decipheriv;
  readonly #hmac: Hmac;
  readonly #options: LayerOptions;

  constructor(options: LayerOptions) {
    this.#decipher = createDecipheriv("aes-256-ctr", options.key.bytes, options.nonce);
    this.#hmac = createHmac("sha256", options.key.bytes);
    this.#options = options;
  }

  /** Takes ciphertext and returns as many bytes of plaintext, which are not authenticated yet. */
  update(ciphertext: Uint8Array): Uint8Array {
    this.authenticate(ciphertext);
    return this.decrypt(ciphertext);
  }

  authenticate(ciphertext: Uint8Array): void {
    this.#hmac.update(ciphertext);
  }

  /** Decrypts ciphertext that was authenticated before. */
  decrypt(ciphertext: Uint8Array): Uint8Array {
    return this.#decipher.update(ciphertext);
  }

  /**
   * The verdict over all ciphertext.
   * @param digest of the layer, for the message
   * @throws DecoderError AUTHENTICATION
   */
  finish(digest: string): void {
    if (!isSameHmac(this.#hmac.digest(), this.#options)) throw notAuthentic(`layer ${digest}`);
  }
}
