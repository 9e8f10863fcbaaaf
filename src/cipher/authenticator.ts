import type { Secret } from "../secret.ts";
import { CHUNK_BYTES, firstOf } from "./chunk.ts";
import { CiphertextHasher } from "./ciphertext-hasher.ts";

/** From here on a second thread repays its start; below, it only takes processor time from others. */
export const WORKER_BYTES = 64 * 1024 * 1024;

/** Computes the layer's HMAC, and lends the buffers that the ciphertext is read into. */
export interface Authenticator {
  /** The buffer to fill next, of {@link CHUNK_BYTES}. */
  buffer(): Uint8Array;
  /** Takes the first `length` bytes of it in. They stay as they are until the next call of `buffer`. */
  push(length: number): void;
  /** The HMAC-SHA256 of all that was taken in, followed by its SHA-256 if that was asked for. */
  digest(): Uint8Array;
  /** Ends the work, wherever it stands. */
  close(): void;
}

/** On the caller's own thread. */
export function inlineAuthenticator(key: Secret, withSha256 = false): Authenticator {
  const hasher = new CiphertextHasher(key.bytes, withSha256);
  const chunk = new Uint8Array(CHUNK_BYTES);
  return {
    buffer: () => chunk,
    push: (length) => hasher.update(firstOf(chunk, length)),
    digest: () => hasher.digest(),
    close: () => {},
  };
}
