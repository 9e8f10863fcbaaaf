import { FileInput } from "../../io/file-input.ts";
import type { Input } from "../../io/input.ts";
import { LIMITS } from "../../limits.ts";
import { openBlobs } from "./open-blobs.ts";

/** The path of a blob in a store. @param digest a checked one */
export function blobPath(store: string, digest: string): string {
  return `${store}/blobs/${digest.replace(":", "/")}`;
}

/** Where a blob of a content store is to be found. */
export interface BlobPlace {
  readonly digest: string;
  readonly path: string;
}

/** A blob that was compared with what arrives on standard input. */
export interface Blob {
  readonly digest: string;
  /** Open ever since: its path may name another file by now. */
  readonly file: FileInput;
}

/**
 * Those blobs that begin with the bytes of `input`, of which none is taken: at least the first 64 KiB, and more as long
 * as several blobs agree. Of different blobs one is left in the end, at the latest where the input ends.
 * @param places of one digest there may be several
 */
export function identify(input: Input, places: Iterable<BlobPlace>): Blob[] {
  let left: Blob[] | undefined;
  for (let length: number = LIMITS.compareBytes; ; length *= 4) {
    const head = input.peek(length);
    const isWhole = head.length < length;
    const isAlike = (file: FileInput) =>
      (isWhole ? file.size === head.length : file.size >= head.length) && begins(file, head);
    left = left === undefined ? openAlike(places, isAlike) : left.filter(({ file }) => keep(file, isAlike));
    if (left.length <= 1 || isWhole || length >= LIMITS.compareBytesMax) return left;
  }
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

/** null for one that was pruned or closed meanwhile, or is not readable: it is then none of the blobs that can be meant. */
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

function begins(file: FileInput, head: Uint8Array): boolean {
  const buffer = Buffer.allocUnsafe(Math.min(head.length, LIMITS.compareBytes));
  for (let at = 0; at < head.length; ) {
    const count = file.readAt(buffer.subarray(0, head.length - at), at);
    if (count === 0 || buffer.compare(head, at, at + count, 0, count) !== 0) return false;
    at += count;
  }
  return true;
}

/**
 * The file that the parent process feeds to standard input, of which nothing is taken: a blob of this digest and size that
 * it has open, and that begins alike. Other ancestors are left out. A script between may write to a pipe, and would fail if
 * the pipe were not read to its end.
 */
export function inputBlob(input: Input, digest: string, size: number): FileInput | undefined {
  const places = openBlobs(1).blobs.filter((blob) => blob.digest === digest);
  if (places.length === 0) return undefined;
  return identify(input, places).find(({ file }) => file.size === size)?.file;
}
