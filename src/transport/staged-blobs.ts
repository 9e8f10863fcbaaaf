import { readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { exists, makeFolder, type Staging } from "../io/staging.ts";
import { blobName } from "./layout.ts";

/** The finished blobs of an image in the making, named as in a layout below the staging folder. */
export class StagedBlobs {
  readonly staging: Staging;

  constructor(staging: Staging) {
    this.staging = staging;
  }

  async has(digest: string, size: number): Promise<boolean> {
    return await hasBlob(this.staging.path, digest, size);
  }

  async adopt(path: string, digest: string): Promise<void> {
    const place = join(this.staging.path, blobName(digest));
    if (await exists(place)) {
      await rm(path);
      return;
    }
    await makeFolder(dirname(place));
    await rename(path, place);
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

/** Whether a layout's folder holds a blob; one of another size is damaged, and as good as missing. */
export async function hasBlob(folder: string, digest: string, size: number): Promise<boolean> {
  const found = await stat(join(folder, blobName(digest))).catch(() => undefined);
  return found?.isFile() === true && found.size === size;
}
