import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { FileInput } from "../../../src/io/file-input.ts";
import { plainBytes } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const path = join(folder, "file");
const BYTES = plainBytes(100_000);
let input: FileInput;

beforeEach(() => {
  writeFileSync(path, BYTES);
  input = FileInput.open(path, "the blob");
});

/** All that is left to read. */
function rest(file = input): Buffer {
  const buffer = Buffer.alloc(2 * BYTES.length);
  return buffer.subarray(0, file.fill(buffer));
}

test("reads in order and from any place, and neither moves the other", () => {
  const [piece, other] = [Buffer.alloc(60_000), Buffer.alloc(60_000)];
  expect(input.size).toBe(BYTES.length);
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

test("reads from its beginning again, and what was looked at only", () => {
  expect(rest().equals(BYTES)).toBe(true);
  const again = input.again();
  expect(Buffer.from(again.peek(100))).toEqual(BYTES.subarray(0, 100));
  expect(rest(again).equals(BYTES)).toBe(true);
});

test("ends where the file ended when it was opened", () => {
  appendFileSync(path, "more");
  expect(rest().equals(BYTES)).toBe(true);
});

test("ends where it was cut, and does not go on when the file grows again", () => {
  truncateSync(path, 1000);
  const buffer = Buffer.alloc(4000);
  expect(input.read(buffer)).toBe(1000);
  appendFileSync(path, BYTES);
  expect(input.read(buffer)).toBe(0);
});

test("what is not a regular file is neither opened nor waited for", () => {
  mkdirSync(join(folder, "folder"));
  spawnSync("mkfifo", [join(folder, "fifo")]);
  expect(() => FileInput.open(join(folder, "folder"), "the blob")).toThrow("it is a directory");
  expect(() => FileInput.open(join(folder, "fifo"), "the blob")).toThrow("it is not a regular file");
  expect(() => FileInput.open(join(folder, "none"), "the blob")).toThrow(/ENOENT/);
});

test("what can't be read is told by its name", () => {
  input.close();
  expect(() => input.read(Buffer.alloc(10))).toThrow(
    expect.objectContaining({ code: "IO", message: expect.stringMatching(/^can't read the blob: /) }),
  );
});
