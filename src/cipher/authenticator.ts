import { createHash, createHmac, type Hash, type Hmac, timingSafeEqual } from "node:crypto";
import type { FileInput } from "../io/file-input.ts";
import type { Sink } from "../io/output.ts";
import type { Secret } from "../secret.ts";
import type { LayerOptions } from "./options.ts";

/** A pipe holds 64 KiB, so a read returns no more. A chunk of this size stays in the processor's cache between steps. */
export const CHUNK_BYTES = 64 * 1024;
/** The size of an HMAC-SHA256, and of a SHA-256. */
export const HASH_BYTES = 32;
/** From this size on a second thread repays its start. Below, it only takes processor time from others. */
export const WORKER_BYTES = 64 * 1024 * 1024;

/**
 * Returns the first `count` bytes of a buffer, usually all of it. A layer of 10 GiB has 160,000 chunks, and a view of each
 * one would hold memory until the next garbage collection.
 */
export function firstOf(buffer: Uint8Array, count: number): Uint8Array {
  return count === buffer.length ? buffer : buffer.subarray(0, count);
}

/** Compares an HMAC with the one that the layer's options hold. The time does not depend on where they differ. */
export function isSameHmac(computed: Uint8Array, { hmac }: Pick<LayerOptions, "hmac">): boolean {
  return computed.length === hmac.length && timingSafeEqual(computed, hmac);
}

/** Hashes a layer's ciphertext as it passes: its HMAC-SHA256, and on demand its SHA-256. */
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

  /** The HMAC, followed by the SHA-256 if there is one. */
  digest(): Uint8Array {
    const hmac = this.#hmac.digest();
    return this.#sha256 === undefined ? hmac : Buffer.concat([hmac, this.#sha256.digest()]);
  }
}

/** Computes a layer's HMAC, and lends the buffers that the ciphertext is read into. */
export interface Authenticator {
  /** The buffer to fill next, of {@link CHUNK_BYTES}. */
  buffer(): Uint8Array;
  /** Takes in the first `length` bytes of that buffer. They stay unchanged until the next call of `buffer`. */
  push(length: number): void;
  /** The HMAC of everything taken in, followed by the SHA-256 if that was asked for. */
  digest(): Uint8Array;
  /**
   * Call after `digest`. Returns a sink that writes the plaintext on the second thread, in pieces of 1 to {@link CHUNK_BYTES}
   * bytes; undefined when the caller has to write it.
   */
  writer(): Sink | undefined;
  /** Stops the work at any point. */
  close(): void;
}

/** Works on the caller's own thread. */
export function inlineAuthenticator(key: Secret, withSha256 = false): Authenticator {
  const hasher = new CiphertextHasher(key.bytes, withSha256);
  const chunk = new Uint8Array(CHUNK_BYTES);
  return {
    buffer: () => chunk,
    push: (length) => hasher.update(firstOf(chunk, length)),
    digest: () => hasher.digest(),
    writer: () => undefined,
    close: () => {},
  };
}

/** Whether a file holds the ciphertext that these options belong to; false also when it can't be read. */
export function isAuthenticFile(file: FileInput, options: LayerOptions): boolean {
  const hasher = new CiphertextHasher(options.key.bytes, false);
  const buffer = new Uint8Array(CHUNK_BYTES);
  const input = file.again();
  try {
    for (let count = input.read(buffer); count > 0; count = input.read(buffer))
      hasher.update(firstOf(buffer, count));
  } catch {
    return false;
  }
  return isSameHmac(hasher.digest(), options);
}
