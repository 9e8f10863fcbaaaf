import { createCipheriv, createHash, createHmac, type Hash, randomBytes } from "node:crypto";
import { encodeBase64 } from "../io/base64.ts";
import { KEY_BYTES, LAYER_CIPHER, NONCE_BYTES } from "./options.ts";

/** The two JSON documents that go with an encrypted layer (ocicrypt `blockcipher`). */
export interface EncryptedOptions {
  /** `{"symkey":…,"digest":…,"cipheroptions":{"nonce":…}}`: secret, to be wrapped. Zero it after use. */
  readonly privateOptions: Uint8Array;
  /** `{"cipher":…,"hmac":…,"cipheroptions":{}}`: the annotation's content before base64. */
  readonly publicOptions: Uint8Array;
}

/** Encrypts one layer with a fresh key and nonce. Feed all of it to `update`, then `finish` once. */
export class LayerEncryptor {
  readonly #key = randomBytes(KEY_BYTES);
  readonly #nonce = randomBytes(NONCE_BYTES);
  readonly #cipher = createCipheriv("aes-256-ctr", this.#key, this.#nonce);
  readonly #hmac = createHmac("sha256", this.#key);
  readonly #digest: string | undefined;
  readonly #hash: Hash | undefined;

  /** @param digest of the plaintext, where it is known already */
  constructor(digest?: string) {
    this.#digest = digest;
    this.#hash = digest === undefined ? createHash("sha256") : undefined;
  }

  /** Plaintext in, as many bytes of ciphertext out. */
  update(plaintext: Uint8Array): Uint8Array {
    this.#hash?.update(plaintext);
    const ciphertext = this.#cipher.update(plaintext);
    this.#hmac.update(ciphertext);
    return ciphertext;
  }

  finish(): EncryptedOptions {
    const privateOptions = {
      symkey: encodeBase64(this.#key),
      digest: this.#digest ?? `sha256:${this.#hash?.digest("hex")}`,
      cipheroptions: { nonce: encodeBase64(this.#nonce) },
    };
    const publicOptions = { cipher: LAYER_CIPHER, hmac: this.#hmac.digest("base64"), cipheroptions: {} };
    this.#key.fill(0);
    const encoder = new TextEncoder();
    return {
      privateOptions: encoder.encode(JSON.stringify(privateOptions)),
      publicOptions: encoder.encode(JSON.stringify(publicOptions)),
    };
  }
}
