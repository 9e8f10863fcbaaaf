import { execFileSync } from "node:child_process";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hasBlob } from "../../../src/transport/staged-blobs.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const digests = Array.from({ length: 4 }, (_, i) => `sha256:${String(i).repeat(64)}`);
const [blob = "", directory = "", fifo = "", missing = ""] = digests;
const pathOf = (digest: string) => join(folder, "blobs", digest.replace(":", "/"));

mkdirSync(join(folder, "blobs/sha256"), { recursive: true });

test("a layout has a blob if the file has the right size", async () => {
  writeFileSync(pathOf(blob), "12345");
  expect(await hasBlob(folder, blob, 5)).toBe(true);
  expect(await hasBlob(folder, blob, 4)).toBe(false);
  expect(await hasBlob(folder, blob, 6)).toBe(false);
  expect(await hasBlob(folder, missing, 5)).toBe(false);
});

test("a folder or FIFO of the right size is not a blob", async () => {
  mkdirSync(pathOf(directory));
  execFileSync("mkfifo", [pathOf(fifo)]);
  for (const digest of [directory, fifo])
    expect(await hasBlob(folder, digest, statSync(pathOf(digest)).size)).toBe(false);
});
