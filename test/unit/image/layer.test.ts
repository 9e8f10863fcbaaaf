import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { extractLayer } from "../../../src/image/layer.ts";
import type { Sink } from "../../../src/io/output.ts";
import { parseSource } from "../../../src/transport/reference.ts";
import { blobPath, writeBlob } from "../../support/images.ts";
import { flipBit } from "../../support/layer.ts";
import { putManifest, readDocument, rootOf, tagRoot } from "../../support/layouts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { encrypt, keySet, layer, makeKey, SETTINGS } from "./setup.ts";

const folder = temporaryFolder();

test.each([
  ["memory", 16 * 1024 * 1024],
  ["a temporary file", 0],
])(
  "a layer held in %s that is changed after it was authenticated comes out unchanged",
  async (_what, spoolMemory) => {
    const key = await makeKey(join(folder, "keys"), `key-${spoolMemory}`);
    const [plain, path] = [join(folder, `plain-${spoolMemory}`), join(folder, `encrypted-${spoolMemory}`)];
    const content = await layer("x".repeat(1024 * 1024), "none");
    tagRoot(plain, putManifest(plain, [content]));
    await encrypt(`oci:${plain}`, `oci:${path}:v1`, { recipients: [key.recipient] });
    const { digest, size } = readDocument(path, rootOf(path)).layers[0];

    const pieces: Buffer[] = [];
    const output: Sink = {
      write(bytes) {
        if (pieces.length === 0) overwrite(blobPath(path, digest), size - 256 * 1024);
        pieces.push(Buffer.from(bytes));
      },
    };
    const source = await parseSource(`oci:${path}:v1`).open();
    const opening = { keys: await keySet(key), settings: SETTINGS };
    await extractLayer(source, { position: 0 }, opening, { output, spoolMemory, spoolDirectory: folder });
    expect(Buffer.concat(pieces).equals(content.bytes)).toBe(true);
  },
);

test.each([
  ["in memory", 100],
  ["beyond what is opened at once", 2 * 1024 * 1024],
])("of a forged layer %s nothing is written, though its digest is right", async (_what, bytes) => {
  const key = await makeKey(join(folder, "keys"), `forged-${bytes}`);
  const [plain, path] = [join(folder, `forged-plain-${bytes}`), join(folder, `forged-${bytes}`)];
  tagRoot(plain, putManifest(plain, [await layer("x".repeat(bytes), "none")]));
  await encrypt(`oci:${plain}`, `oci:${path}:v1`, { recipients: [key.recipient] });
  const manifest = readDocument(path, rootOf(path));
  const [{ digest, ...descriptor }] = manifest.layers;
  const { mediaType } = rootOf(path);
  const forged = flipBit(readFileSync(blobPath(path, digest)), 50);
  const layers = [{ ...descriptor, ...writeBlob(path, descriptor.mediaType, forged) }];
  tagRoot(path, writeBlob(path, mediaType, Buffer.from(JSON.stringify({ ...manifest, layers }))));

  let written = 0;
  const output: Sink = {
    write: (chunk) => {
      written += chunk.length;
    },
  };
  const opening = { keys: await keySet(key), settings: SETTINGS };
  const source = await parseSource(`oci:${path}:v1`).open();
  await expect(
    extractLayer(source, { position: 0 }, opening, { output, spoolMemory: 4096, spoolDirectory: folder }),
  ).rejects.toThrow(expect.objectContaining({ code: "AUTHENTICATION" }));
  expect(written).toBe(0);
});

function overwrite(file: string, position: number): void {
  const fd = openSync(file, "r+");
  writeSync(fd, Buffer.from("changed"), 0, 7, position);
  closeSync(fd);
}
