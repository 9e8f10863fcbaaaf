/** Buffers up to this size are not freed: small ones are parts of a pool, of 8 KiB in Bun and 64 KiB in Node. */
const POOL_BYTES = 96 * 1024;

/**
 * Frees the memory of bytes that have no other reference, and leaves them empty. The garbage collector would do it later;
 * until then each new chunk would get fresh memory, whose page faults cost more than the work on it.
 */
export function free({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength > POOL_BYTES) buffer.transfer(0);
}

/** Like `free`, for chunks that are parts of a buffer and are used in their order: the last one frees all. */
export function freeInOrder(chunk: Uint8Array): void {
  if (chunk.byteOffset + chunk.byteLength === chunk.buffer.byteLength) free(chunk);
}

/** Frees each chunk when its reader asks for the next one. */
export async function* freeing(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk;
    freeInOrder(chunk);
  }
}
