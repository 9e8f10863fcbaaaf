/** A pipe holds 64 KiB, so no read gives more; and so much stays in the processor's cache from one step to the next. */
export const CHUNK_BYTES = 64 * 1024;

/**
 * The first `count` bytes of a buffer, which is mostly all of it: a layer of 10 GiB has 160,000 chunks, and a view for each
 * would be memory until the garbage collector comes.
 */
export function firstOf(buffer: Uint8Array, count: number): Uint8Array {
  return count === buffer.length ? buffer : buffer.subarray(0, count);
}
