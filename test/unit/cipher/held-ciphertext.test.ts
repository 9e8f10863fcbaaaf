import { expect, test } from "vitest";
import { HeldCiphertext } from "../../../src/cipher/held-ciphertext.ts";
import { openBelow } from "../../support/descriptors.ts";
import { plainBytes } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const MiB = 1024 * 1024;

test.each([
  [200_100, 0],
  [1.5 * MiB, 0],
  [1.5 * MiB + 1, 1],
  [2 * MiB, 1],
])("of %i bytes, 1.5 MiB are held in memory, and the rest in %i files", (size, files) => {
  const bytes = plainBytes(size);
  const held = new HeldCiphertext(1.5 * MiB, folder);
  try {
    for (let at = 0; at < size; at += 100_000) held.append(bytes.subarray(at, at + 100_000));
    expect(openBelow(folder)).toHaveLength(files);
    // A piece is valid until the next one.
    const pieces = Array.from(held.pieces(), (it) => Buffer.from(it));
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
  } finally {
    held.close();
  }
  expect(openBelow(folder)).toEqual([]);
});
