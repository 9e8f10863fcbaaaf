import { execFileSync } from "node:child_process";
import { mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeSystemError } from "../../../src/errors.ts";
import { readPieces, readSmallFile } from "../../../src/io/file.ts";
import { openBelow } from "../../support/descriptors.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const file = join(folder, "file");
writeFileSync(file, "0123456789");

function refusal(path: string, maxBytes = 10): string {
  try {
    readSmallFile(path, maxBytes);
  } catch (error) {
    return describeSystemError(error);
  }
  return "it was read";
}

test("a file is read whole, through a symlink too, up to the limit", () => {
  symlinkSync("file", join(folder, "link"));
  expect(Buffer.from(readSmallFile(file, 10)).toString()).toBe("0123456789");
  expect(Buffer.from(readSmallFile(join(folder, "link"), 11)).toString()).toBe("0123456789");
  writeFileSync(join(folder, "empty"), "");
  expect(readSmallFile(join(folder, "empty"), 10)).toHaveLength(0);
});

test("no file stays open, whether it is read or refused", () => {
  readSmallFile(file, 10);
  readPieces(file, () => {});
  expect(() => readPieces(file, () => expect.fail("no"))).toThrow("no");
  expect(refusal(file, 9)).toBe("it is larger than 9 bytes");
  expect(refusal(folder)).toBe("it is a directory");
  expect(openBelow(folder)).toEqual([]);
});

test("the memory is its own: zeroing it leaves nothing of the file", () => {
  expect(readSmallFile(file, 10).buffer.byteLength).toBe(10);
});

test("what is no such file is refused, without waiting for a FIFO's writer", () => {
  mkdirSync(join(folder, "directory"));
  execFileSync("mkfifo", [join(folder, "fifo")]);
  expect(refusal(file, 9)).toBe("it is larger than 9 bytes");
  expect(refusal(join(folder, "directory"))).toBe("it is a directory");
  expect(refusal(join(folder, "fifo"))).toBe("it is not a regular file");
  expect(refusal("/dev/null")).toBe("it is not a regular file");
  expect(refusal(join(folder, "missing"))).toBe("no such file or directory");
});

test("a file with fewer bytes than its size shows is read to its end", () => {
  // sysfs shows the size of a page for each file.
  const path = "/sys/devices/system/cpu/online";
  expect(statSync(path).size).toBeGreaterThanOrEqual(4096);
  expect(Buffer.from(readSmallFile(path, 65_536)).toString()).toMatch(/^0[-,\d]*\n$/);
});

test("a file is read from its first byte to its last, whole or in pieces", () => {
  const path = join(folder, "pieces");
  const bytes = Buffer.from(Array.from({ length: 600_000 }, (_, i) => i % 251));
  writeFileSync(path, bytes);
  expect(Buffer.from(readSmallFile(path, bytes.length)).equals(bytes)).toBe(true);
  const pieces: Buffer[] = [];
  readPieces(path, (piece) => pieces.push(Buffer.from(piece)));
  expect(pieces.map(({ length }) => length)).toEqual([262_144, 262_144, 75_712]);
  expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
});

test.each([
  [0, []],
  [1, [1]],
  [262_145, [262_144, 1]],
])("a file of %i bytes has pieces of %j", (size, lengths) => {
  const path = join(folder, "sized");
  writeFileSync(path, Buffer.alloc(size));
  const pieces: number[] = [];
  readPieces(path, ({ length }) => pieces.push(length));
  expect(pieces).toEqual(lengths);
});
