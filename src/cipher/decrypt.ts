import { createDecipheriv, createHmac, type Decipheriv, type Hmac, timingSafeEqual } from "node:crypto";
import { DecoderError } from "../errors.ts";
import type { LayerOptions } from "./options.ts";

/**
 * Decrypts one layer piece by piece, for callers that keep the plaintext to themselves until `finish` has approved of
 * the ciphertext.
 */
export class LayerDecryptor {
  readonly #decipher: Decipheriv;
  readonly #hmac: Hmac;
  readonly #expected: Uint8Array;

  constructor({ key, nonce, hmac }: LayerOptions) {
    this.#decipher = createDecipheriv("aes-256-ctr", key.bytes, nonce);
    this.#hmac = createHmac("sha256", key.bytes);
    this.#expected = hmac;
  }

  /** Ciphertext in, as many bytes of plaintext out, not authenticated yet. */
  update(ciphertext: Uint8Array): Uint8Array {
    this.authenticate(ciphertext);
    return this.decrypt(ciphertext);
  }

  authenticate(ciphertext: Uint8Array): void {
    this.#hmac.update(ciphertext);
  }

  /** Without authentication: for what has been authenticated before. */
  decrypt(ciphertext: Uint8Array): Uint8Array {
    return this.#decipher.update(ciphertext);
  }

  /**
   * The verdict over all ciphertext.
   * @param name of the layer, for messages
   * @throws DecoderError AUTHENTICATION, which tells nothing but that
   */
  finish(name: string): void {
    if (timingSafeEqual(this.#hmac.digest(), this.#expected)) return;
    throw new DecoderError("AUTHENTICATION", `layer ${name} is not authentic: its HMAC does not match`, {
      hint: "the layer was changed or cut after it was encrypted; fetch it again, from a registry you trust",
    });
  }
}
