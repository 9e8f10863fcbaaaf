import { readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { digestOf } from "../io/digester.ts";
import { exists, makeFolder, type Staging, writeDurably } from "../io/staging.ts";
import { type BlobOutput, type FileOutput, fileOf } from "./blob-output.ts";
import { blobName } from "./layout-index.ts";

/** The finished blobs of an image in the making. They have a layout's names below the staging folder. */
export class StagedBlobs {
  readonly staging: Staging;

  constructor(staging: Staging) {
    this.staging = staging;
  }

  newOutput(): FileOutput {
    return { kind: "file", path: this.staging.newFile() };
  }

  async has(digest: string, size: number): Promise<boolean> {
    return await hasBlob(this.staging.path, digest, size);
  }

  /** Takes a finished file over as a blob. @throws DecoderError IO */
  async adopt(output: BlobOutput, digest: string): Promise<void> {
    const path = fileOf(output);
    const place = join(this.staging.path, blobName(digest));
    if (await exists(place)) {
      await rm(path);
      return;
    }
    await makeFolder(dirname(place));
    await rename(path, place);
  }

  /** Adds a small blob, such as a manifest. @throws DecoderError IO */
  async put(bytes: Uint8Array): Promise<void> {
    const digest = digestOf(bytes);
    if (await this.has(digest, bytes.length)) return;
    const output = this.newOutput();
    await writeDurably(output.path, [bytes]);
    await this.adopt(output, digest);
  }

  /** Size of all blobs together. */
  async bytes(): Promise<number> {
    let sum = 0;
    for (const name of await this.names()) sum += (await stat(join(this.staging.path, name))).size;
    return sum;
  }

  /** Names below the staging folder, sorted: "blobs/sha256/<hex>". */
  async names(): Promise<string[]> {
    const names: string[] = [];
    const root = join(this.staging.path, "blobs");
    if (!(await exists(root))) return names;
    for (const algorithm of await readdir(root)) {
      for (const hex of await readdir(join(root, algorithm))) names.push(`blobs/${algorithm}/${hex}`);
    }
    return names.sort();
  }
}

/** Whether a layout's folder holds a blob. A blob of another size is damaged and counts as missing. */
export async function hasBlob(folder: string, digest: string, size: number): Promise<boolean> {
  const found = await stat(join(folder, blobName(digest))).catch(() => undefined);
  return found?.isFile() === true && found.size === size;
}
