import { readdirSync, readlinkSync } from "node:fs";
import { expect, test } from "vitest";
import { HeldCiphertext } from "../../../src/cipher/held-ciphertext.ts";
import { plainBytes } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const MiB = 1024 * 1024;

/** Nameless files in the folder that this process has open. */
function openSpools(): number {
  const targets = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // It was that of reading the folder.
    }
  });
  return targets.filter((it) => it.startsWith(`${folder}/`)).length;
}

test.each([
  [1.5 * MiB, 0],
  [1.5 * MiB + 1, 1],
  [2 * MiB, 1],
])("of %i bytes, 1.5 MiB are held in memory, and the rest in %i files", (size, files) => {
  const bytes = plainBytes(size);
  const held = new HeldCiphertext(1.5 * MiB, folder);
  try {
    for (let at = 0; at < size; at += 100_000) held.append(bytes.subarray(at, at + 100_000));
    expect(openSpools()).toBe(files);
    expect(Buffer.concat([...held.pieces()].map((it) => Buffer.from(it))).length).toBe(size);
  } finally {
    held.close();
  }
  expect(openSpools()).toBe(0);
});
