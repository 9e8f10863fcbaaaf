import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FileInput, withFile } from "../../../src/io/file-input.ts";
import { plainBytes } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const path = join(folder, "file");
const BYTES = plainBytes(100_000);
writeFileSync(path, BYTES);

test("reads in order and from any place, and neither moves the other", async () => {
  await withFile(path, "the file", async (input) => {
    const [piece, other] = [Buffer.alloc(60_000), Buffer.alloc(60_000)];
    expect(input.read(piece)).toBe(60_000);
    expect(piece.equals(BYTES.subarray(0, 60_000))).toBe(true);
    expect(input.readAt(other, 30_000)).toBe(60_000);
    expect(other.equals(BYTES.subarray(30_000, 90_000))).toBe(true);
    expect(input.read(piece, 10, 50_000)).toBe(40_000);
    expect(piece.subarray(10, 40_010).equals(BYTES.subarray(60_000))).toBe(true);
    expect(input.read(piece)).toBe(0);
    expect(input.readAt(other, 90_000)).toBe(10_000);
    expect(input.readAt(other, 100_000)).toBe(0);
  });
});

test("what can't be opened or read is told by its name", async () => {
  const use = async (input: FileInput) => void input.read(Buffer.alloc(10));
  const missing = withFile(join(folder, "none"), "the layer's blob", use);
  await expect(missing).rejects.toThrow(
    expect.objectContaining({ code: "IO", message: expect.stringMatching(/^can't read the layer's blob: /) }),
  );
  mkdirSync(join(folder, "directory"));
  await expect(withFile(join(folder, "directory"), "the blob", use)).rejects.toThrow(
    /^can't read the blob: /,
  );
  const fd = openSync(path, "r");
  const input = new FileInput(fd, "the blob");
  closeSync(fd);
  expect(() => input.readAt(Buffer.alloc(10), 0)).toThrow(/^can't read the blob: /);
});
