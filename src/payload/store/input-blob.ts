import type { Input } from "../../io/input.ts";
import { type Blob, blobAt, identify } from "./blob.ts";
import { openBlobs } from "./open-blobs.ts";

/**
 * The blob of this digest and size that containerd has open, if it is what arrives on standard input, of which nothing
 * is taken: it can be read from its file instead, and more than once.
 */
export function inputBlob(input: Input, digest: string, size: number): Blob | null {
  const open = openBlobs().blobs.find((blob) => blob.digest === digest);
  const blob = open === undefined ? null : blobAt(digest, open.path);
  return blob?.size === size && identify(input, [blob]).length === 1 ? blob : null;
}
