import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { Input } from "../../io/input.ts";
import { LIMITS } from "../../limits.ts";

/** A blob in a content store, to be compared with what arrives on standard input. */
export interface Blob {
  readonly digest: string;
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** The blob at a path, or null when there is none that can be read. */
export function blobAt(digest: string, path: string): Blob | null {
  return withFile(path, (fd) => ({ digest, path, size: fstatSync(fd).size }));
}

/**
 * Those of `blobs` that begin with the bytes of `input`, of which none is taken: at least the first 64 KiB, and more as
 * long as several blobs agree. Of different blobs one is left in the end, at the latest where the input ends.
 */
export function identify(input: Input, blobs: readonly Blob[]): Blob[] {
  let left = [...blobs];
  for (let length: number = LIMITS.compareBytes; ; length *= 4) {
    const head = input.peek(length);
    const isWhole = head.length < length;
    left = left.filter(
      (blob) => (isWhole ? blob.size === head.length : blob.size >= head.length) && begins(blob, head),
    );
    if (left.length <= 1 || isWhole || length >= LIMITS.compareBytesMax) return left;
  }
}

function begins(blob: Blob, head: Uint8Array): boolean {
  const same = withFile(blob.path, (fd) => {
    const buffer = Buffer.allocUnsafe(Math.min(head.length, LIMITS.compareBytes));
    for (let at = 0; at < head.length; ) {
      const count = readSync(fd, buffer, 0, Math.min(buffer.length, head.length - at), at);
      if (count === 0 || buffer.compare(head, at, at + count, 0, count) !== 0) return false;
      at += count;
    }
    return true;
  });
  return same === true;
}

function withFile<T>(path: string, use: (fd: number) => T): T | null {
  let fd: number | undefined;
  try {
    fd = openSync(path, "r");
    return use(fd);
  } catch {
    // Pruned meanwhile, or not readable: it is then none of the blobs that can be meant.
    return null;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
