import { FileInput } from "../../io/file-input.ts";
import type { Input } from "../../io/input.ts";
import * as LIMITS from "../../limits.ts";
import { openBlobs } from "./open-blobs.ts";

/** A blob of a content store, by its path. */
interface BlobPlace {
  readonly digest: string;
  readonly path: string;
}

/** A blob that was compared with standard input. */
export interface Blob {
  readonly digest: string;
  /** The file stays open after the comparison, because its path may later name another file. */
  readonly file: FileInput;
}

interface Identified {
  readonly blobs: readonly Blob[];
  /** Whether the input was read to its end, so that the remaining blobs equal it. Otherwise nothing was consumed. */
  readonly isRead: boolean;
}

/**
 * Finds the blobs that begin as `input` does. It looks at 64 KiB, and at more while several blobs agree. If several still do
 * after 16 MiB, it reads the input to its end, and at most one blob is left.
 * @param places may name a digest several times
 * @throws DecoderError IO
 */
export function identify(input: Input, places: Iterable<BlobPlace>): Identified {
  let left: Blob[] | undefined;
  for (let length: number = LIMITS.compareBytes; ; length *= 4) {
    const head = input.peek(length);
    const isWhole = head.length < length;
    const isAlike = (file: FileInput) =>
      (isWhole ? file.size === head.length : file.size >= head.length) && holds(file, head, 0);
    left = left === undefined ? openAlike(places, isAlike) : left.filter(({ file }) => keep(file, isAlike));
    if (left.length <= 1 || isWhole) return { blobs: left, isRead: false };
    if (length >= LIMITS.compareBytesMax) return { blobs: readEqual(input, left), isRead: true };
  }
}

/** Reads the input to its end, and returns the blobs that are equal to it. */
function readEqual(input: Input, blobs: readonly Blob[]): Blob[] {
  const buffer = new Uint8Array(LIMITS.compareBytes);
  let left = [...blobs];
  let position = 0;
  for (let count = input.read(buffer); count > 0; count = input.read(buffer)) {
    const [chunk, at] = [buffer.subarray(0, count), position];
    left = left.filter(({ file }) => keep(file, () => holds(file, chunk, at)));
    position += count;
  }
  return left.filter(({ file }) => keep(file, () => file.size === position));
}

type Judge = (file: FileInput) => boolean;

function openAlike(places: Iterable<BlobPlace>, isAlike: Judge): Blob[] {
  const found = new Map<string, Blob>();
  for (const { digest, path } of places) {
    const file = found.has(digest) ? null : opened(path);
    if (file !== null && keep(file, isAlike)) found.set(digest, { digest, file });
  }
  return [...found.values()];
}

/** Returns null for a blob that was pruned or closed in the meantime, is unreadable, or is not a regular file. */
function opened(path: string): FileInput | null {
  try {
    return FileInput.open(path, "the layer's blob");
  } catch {
    return null;
  }
}

function keep(file: FileInput, isAlike: Judge): boolean {
  const isKept = isAlike(file);
  if (!isKept) file.close();
  return isKept;
}

/** Whether a file holds these bytes at a position. */
function holds(file: FileInput, bytes: Uint8Array, position: number): boolean {
  const buffer = Buffer.allocUnsafe(Math.min(bytes.length, LIMITS.compareBytes));
  for (let at = 0; at < bytes.length; ) {
    const count = file.readAt(buffer.subarray(0, bytes.length - at), position + at);
    if (count === 0 || buffer.compare(bytes, at, at + count, 0, count) !== 0) return false;
    at += count;
  }
  return true;
}

/**
 * Finds the file that the parent process feeds to standard input: an open blob of this digest and size, with the same first
 * bytes. No input is consumed. Other ancestors are ignored, since a script in between may write to a pipe. The script would
 * fail if the pipe were not read to its end.
 */
export function inputBlob(input: Input, digest: string, size: number): FileInput | undefined {
  const places = openBlobs(1).blobs.filter((blob) => blob.digest === digest);
  if (places.length === 0) return undefined;
  return identify(input, places).blobs.find(({ file }) => file.size === size)?.file;
}
