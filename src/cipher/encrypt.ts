import { createCipheriv, createHash, type Hash, randomBytes } from "node:crypto";
import { encodeBase64 } from "../encoding/base64.ts";
import { Secret } from "../secret.ts";
import {
  type Authenticator,
  CHUNK_BYTES,
  HASH_BYTES,
  inlineAuthenticator,
  WORKER_BYTES,
} from "./authenticator.ts";
import { KEY_BYTES, LAYER_CIPHER, NONCE_BYTES } from "./options.ts";
import { workerAuthenticator } from "./worker-authenticator.ts";

/** The data that accompanies an encrypted layer: its digest, and the two JSON documents of ocicrypt's `blockcipher`. */
export interface EncryptedOptions {
  /** `{"symkey":…,"digest":…,"cipheroptions":{"nonce":…}}`: secret, to be wrapped. Zero it after use. */
  readonly privateOptions: Uint8Array;
  /** `{"cipher":…,"hmac":…,"cipheroptions":{}}`: the annotation's content before base64. */
  readonly publicOptions: Uint8Array;
  /** Digest of the ciphertext, "sha256:<hex>". */
  readonly digest: string;
}

/** Properties of a layer that are known before it is encrypted. */
interface PlainLayer {
  /** Digest of the plaintext. It is computed if undefined. */
  readonly digest?: string | undefined;
  /** Approximate size in bytes. A large layer's ciphertext is hashed on a thread of its own. */
  readonly size?: number;
}

/** Encrypts one layer with a fresh key and nonce. Feed all of it to `update`, then `finish` once; `close` in any case. */
export class LayerEncryptor {
  readonly #key = new Secret(new Uint8Array(randomBytes(KEY_BYTES)));
  readonly #nonce = randomBytes(NONCE_BYTES);
  readonly #cipher = createCipheriv("aes-256-ctr", this.#key.bytes, this.#nonce);
  readonly #authenticator: Authenticator;
  readonly #digest: string | undefined;
  readonly #hash: Hash | undefined;

  constructor({ digest, size = 0 }: PlainLayer = {}) {
    this.#digest = digest;
    this.#hash = digest === undefined ? createHash("sha256") : undefined;
    this.#authenticator =
      size > WORKER_BYTES
        ? workerAuthenticator(this.#key, { withSha256: true })
        : inlineAuthenticator(this.#key, true);
  }

  /** Takes plaintext and returns as many bytes of ciphertext. */
  update(plaintext: Uint8Array): Uint8Array {
    this.#hash?.update(plaintext);
    const ciphertext = this.#cipher.update(plaintext);
    for (let offset = 0; offset < ciphertext.length; offset += CHUNK_BYTES) {
      const chunk = ciphertext.subarray(offset, offset + CHUNK_BYTES);
      this.#authenticator.buffer().set(chunk);
      this.#authenticator.push(chunk.length);
    }
    return ciphertext;
  }

  finish(): EncryptedOptions {
    const hashes = this.#authenticator.digest();
    const hmac = encodeBase64(hashes.subarray(0, HASH_BYTES));
    const privateOptions = {
      symkey: encodeBase64(this.#key.bytes),
      digest: this.#digest ?? `sha256:${this.#hash?.digest("hex")}`,
      cipheroptions: { nonce: encodeBase64(this.#nonce) },
    };
    const publicOptions = { cipher: LAYER_CIPHER, hmac, cipheroptions: {} };
    this.close();
    const encoder = new TextEncoder();
    return {
      privateOptions: encoder.encode(JSON.stringify(privateOptions)),
      publicOptions: encoder.encode(JSON.stringify(publicOptions)),
      digest: `sha256:${Buffer.from(hashes.subarray(HASH_BYTES)).toString("hex")}`,
    };
  }

  close(): void {
    this.#authenticator.close();
    this.#key.destroy();
  }
}
