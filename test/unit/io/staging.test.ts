import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { writeDurably } from "../../../src/io/staging.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
let files = 0;
const newPath = () => join(folder, String(files++));

async function* later(chunks: readonly Uint8Array[], failure?: Error): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk;
  if (failure !== undefined) throw failure;
}

test("chunks of any sizes are written in their order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 100_000 })), async (chunks) => {
      const path = newPath();
      const whole = Buffer.concat(chunks);
      expect(await writeDurably(path, later(chunks))).toBe(whole.length);
      expect(readFileSync(path).equals(whole)).toBe(true);
    }),
    { numRuns: 30 },
  );
});

test("more than is flushed at once", async () => {
  const path = newPath();
  const chunk = new Uint8Array(1024 * 1024).map((_, i) => i);
  const count = 130;
  expect(await writeDurably(path, later(Array(count).fill(chunk)))).toBe(count * chunk.length);
  expect(readFileSync(path).subarray(-chunk.length).equals(chunk)).toBe(true);
});

test("what the chunks throw is thrown, also while one is being written, and no file is left", async () => {
  const failure = new Error("no more");
  const path = newPath();
  await expect(writeDurably(path, later([new Uint8Array(9_000_000)], failure))).rejects.toBe(failure);
  expect(existsSync(path)).toBe(false);
});

test("a file that exists is kept", async () => {
  const path = newPath();
  writeFileSync(path, "mine");
  await expect(writeDurably(path, later([new Uint8Array(1)]))).rejects.toMatchObject({ code: "IO" });
  expect(readFileSync(path, "utf8")).toBe("mine");
});
