import { createHmac } from "node:crypto";
import type { Secret } from "../secret.ts";
import { CHUNK_BYTES, firstOf } from "./chunk.ts";

/** Computes the layer's HMAC, and lends the buffers that the ciphertext is read into. */
export interface Authenticator {
  /** The buffer to fill next, of {@link CHUNK_BYTES}. */
  buffer(): Uint8Array;
  /** Takes the first `length` bytes of it in. They stay as they are until the next call of `buffer`. */
  push(length: number): void;
  /** The HMAC-SHA256 of all that was taken in. */
  digest(): Uint8Array;
  /** Ends the work, wherever it stands. */
  close(): void;
}

/** On the caller's own thread. */
export function inlineAuthenticator(key: Secret): Authenticator {
  const hmac = createHmac("sha256", key.bytes);
  const chunk = new Uint8Array(CHUNK_BYTES);
  return {
    buffer: () => chunk,
    push: (length) => {
      hmac.update(firstOf(chunk, length));
    },
    digest: () => hmac.digest(),
    close: () => {},
  };
}
