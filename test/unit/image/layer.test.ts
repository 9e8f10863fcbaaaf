import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { extractLayer } from "../../../src/image/layer.ts";
import type { Sink } from "../../../src/io/output.ts";
import { parseSource } from "../../../src/transport/reference.ts";
import { blobPath } from "../../support/images.ts";
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
    const release = { release: "verified", spoolMemory, spoolDirectory: folder } as const;
    await extractLayer(source, { position: 0 }, await keySet(key), SETTINGS, output, release);
    expect(Buffer.concat(pieces).equals(content.bytes)).toBe(true);
  },
);

function overwrite(file: string, position: number): void {
  const fd = openSync(file, "r+");
  writeSync(fd, Buffer.from("changed"), 0, 7, position);
  closeSync(fd);
}
