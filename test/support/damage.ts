import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pack } from "tar-stream";
import { OCI_MANIFEST } from "../../src/spec/media-types.ts";
import { blobPath, writeBlob } from "./images.ts";
import { copyLayout, readDocument, rootOf, snapshot, tagRoot } from "./layouts.ts";

export interface Entry {
  readonly name: string;
  readonly type?: "file" | "symlink" | "link" | "character-device" | "block-device" | "fifo";
  readonly linkname?: string;
  readonly body?: Uint8Array;
}

/**
 * Ways to damage an image.
 * @param good a layout with one image, there when one of them is used
 * @param fresh a new path at each call
 */
export function damageTo(good: string, fresh: () => string) {
  const damaged = () => copyLayout(good, fresh());
  const layerOf = (layout: string, position: number) =>
    readDocument(layout, rootOf(layout)).layers[position].digest;

  /** A manifest with that in place of what the good one has. */
  function changed(change: (manifest: Record<string, unknown>) => object): string {
    const layout = damaged();
    const text = JSON.stringify(change(readDocument(layout, rootOf(layout))));
    tagRoot(layout, writeBlob(layout, OCI_MANIFEST, Buffer.from(text)));
    return `oci:${layout}`;
  }

  const layoutEntries = (): Entry[] => {
    const names = [...snapshot(good).keys()].filter((name) => !/^blobs(\/sha256)?$/.test(name));
    return names.map((name) => ({ name, body: readFileSync(join(good, name)) }));
  };

  async function archiveOf(entries: readonly Entry[]): Promise<Buffer> {
    const archive = pack();
    for (const { name, type = "file", linkname = "x", body } of entries) {
      if (body === undefined) archive.entry({ name, type, linkname });
      else archive.entry({ name }, Buffer.from(body));
    }
    archive.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of archive) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }

  function stored(bytes: Uint8Array): string {
    const path = fresh();
    writeFileSync(path, bytes);
    return `oci-archive:${path}`;
  }

  /** Replaces a blob by something else of that name. */
  function replaced(position: number, by: (path: string) => void): string {
    const layout = damaged();
    const path = blobPath(layout, layerOf(layout, position));
    rmSync(path);
    by(path);
    return `oci:${layout}`;
  }

  /** A header that promises 10 GiB, and a body that never comes. */
  function promisingMuch(name: string): Buffer {
    const header = Buffer.alloc(512);
    header.write(name);
    header.write("0000644\0", 100);
    header.write((10 * 1024 ** 3).toString(8).padStart(11, "0"), 124);
    header.write("00000000000\0        0", 136);
    header.write("ustar\u000000", 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return header;
  }
  return { damaged, layerOf, changed, layoutEntries, archiveOf, stored, replaced, promisingMuch };
}
