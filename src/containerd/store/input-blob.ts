import type { FileInput } from "../../io/file-input.ts";
import type { Input } from "../../io/input.ts";
import { identify } from "./blobs.ts";
import { openBlobs } from "./open-blobs.ts";

/**
 * The file that the process which started this one feeds to standard input, of which nothing is taken: a blob of this
 * digest and size that it has open, and that begins alike. Another ancestor's is not asked for: what a script between
 * writes to a pipe that is not read to its end would fail.
 */
export function inputBlob(input: Input, digest: string, size: number): FileInput | undefined {
  const places = openBlobs(1).blobs.filter((blob) => blob.digest === digest);
  if (places.length === 0) return undefined;
  return identify(input, places).find(({ file }) => file.size === size)?.file;
}
