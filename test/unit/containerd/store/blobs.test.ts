import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  renameSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type Blob, identify } from "../../../../src/containerd/store/blobs.ts";
import { FileInput } from "../../../../src/io/file-input.ts";
import { flipBit, plainBytes } from "../../../support/layer.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const root = temporaryFolder();
const BYTES = plainBytes(65_536 + 1000);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(root, "blobs-"));
});

/** A blob's place; its name serves as its digest. */
function place(name: string, bytes: Uint8Array, digest = name) {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return { digest, path };
}

/** The digests of the blobs that begin as this input does, of which nothing is missing afterwards. */
function identified(bytes: Uint8Array, ...places: { digest: string; path: string }[]): string[] {
  const input = FileInput.open(place("input", bytes).path, "the input");
  const { blobs, isRead } = identify(input, places);
  expect(isRead).toBe(false);
  const rest = Buffer.alloc(bytes.length + 1);
  expect(rest.subarray(0, input.fill(rest)).equals(bytes)).toBe(true);
  return blobs.map(({ digest }) => digest);
}

describe("of several blobs", () => {
  test("those are left that begin alike and are not shorter", () => {
    const found = identified(
      BYTES,
      place("other", flipBit(BYTES, 10)),
      place("right", BYTES),
      place("short", BYTES.subarray(0, -1)),
    );
    expect(found).toEqual(["right"]);
  });

  test("those are told apart that differ beyond the first bytes, or in length", () => {
    const found = identified(
      BYTES,
      place("other", flipBit(BYTES, BYTES.length - 1)),
      place("longer", Buffer.concat([BYTES, Buffer.of(0)])),
      place("right", BYTES),
    );
    expect(found).toEqual(["right"]);
  });

  test("each is found once, and wherever one of its places leads to it", () => {
    const fifo = join(folder, "fifo");
    spawnSync("mkfifo", [fifo]);
    const found = identified(
      BYTES,
      { digest: "right", path: join(folder, "closed") },
      { digest: "right", path: fifo },
      place("a", flipBit(BYTES, 0), "right"),
      place("b", BYTES, "right"),
      place("c", BYTES, "right"),
    );
    expect(found).toEqual(["right"]);
  });
});

test("what was compared is what is read later, whatever its path names by then", () => {
  const right = place("right", BYTES);
  const input = FileInput.open(right.path, "the input");
  const [blob] = identify(input, [right]).blobs as [Blob];
  renameSync(place("other", Buffer.alloc(BYTES.length)).path, right.path);
  const read = Buffer.alloc(BYTES.length);
  expect(blob.file.read(read)).toBe(BYTES.length);
  expect(read.equals(BYTES)).toBe(true);
});

describe("blobs that are alike for more than is held in memory", () => {
  const SIZE = 16_777_216 + 200_000;
  /** A sparse file that ends with a text. */
  function large(name: string, end: string, size = SIZE) {
    const it = place(name, Buffer.of());
    const fd = openSync(it.path, "r+");
    writeSync(fd, end, size - end.length);
    closeSync(fd);
    return it;
  }

  test.each([
    ["the first", "a", ["right"]],
    ["the second", "b", ["other"]],
    ["none", "c", []],
  ])("are told apart by reading all of the input, which is equal to %s", (_what, end, digests) => {
    const places = [large("right", "a"), large("other", "b"), large("longer", "a", SIZE + 1)];
    const input = FileInput.open(large("input", end).path, "the input");
    const { blobs, isRead } = identify(input, places);
    expect([blobs.map(({ digest }) => digest), isRead]).toEqual([digests, true]);
    expect(input.read(Buffer.alloc(1))).toBe(0);
    for (const { file } of blobs) expect(file.read(Buffer.alloc(1))).toBe(1);
  });

  test("one that goes on where the input ends is another", () => {
    const places = [large("right", ""), large("longer", "", SIZE + 1)];
    for (const { path } of places) truncateSync(path, path.endsWith("longer") ? SIZE + 1 : SIZE);
    const input = FileInput.open(places[0]?.path ?? "", "the input");
    expect(identify(input, places).blobs.map(({ digest }) => digest)).toEqual(["right"]);
  });
});
