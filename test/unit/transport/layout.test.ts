import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { folderBlobs, readLayoutIndex } from "../../../src/transport/layout.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();
const fifo = (path: string) => void execFileSync("mkfifo", [path]);
const directory = (path: string) => void mkdirSync(path);

describe.each([
  // Without the check, the folder fails at once, and the FIFO waits.
  ["folder", directory],
  ["FIFO", fifo],
])("a %s", (_, make) => {
  test("in a blob's place is refused before it is opened", async () => {
    const folder = mkdtempSync(join(base, "layout-"));
    const hex = "0".repeat(64);
    mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
    make(join(folder, "blobs/sha256", hex));
    const descriptor = { mediaType: "a/b", digest: `sha256:${hex}`, size: 0 };
    await expect(folderBlobs(folder).locate(descriptor)).rejects.toMatchObject({
      code: "BAD_IMAGE",
      message: expect.stringContaining("is not a regular file"),
    });
  });

  test.each(["oci-layout", "index.json"])("in place of %s is refused before it is opened", async (name) => {
    const folder = mkdtempSync(join(base, "layout-"));
    const files = { "oci-layout": '{"imageLayoutVersion":"1.0.0"}', "index.json": '{"manifests":[]}' };
    for (const [other, text] of Object.entries(files)) {
      if (other === name) make(join(folder, name));
      else writeFileSync(join(folder, other), text);
    }
    await expect(readLayoutIndex(folder)).rejects.toMatchObject({
      code: "BAD_IMAGE",
      message: expect.stringContaining("is not a regular file"),
    });
  });
});
