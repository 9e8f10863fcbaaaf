import fc from "fast-check";
import { expect, it } from "vitest";
import { inBlocks } from "../../../src/io/blocks.ts";

async function* each(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function blocksOf(chunks: readonly Uint8Array[], size: number, spare: Uint8Array<ArrayBuffer>[] = []) {
  const blocks: Uint8Array[] = [];
  for await (const block of inBlocks(each(chunks), size, spare)) blocks.push(block);
  return blocks;
}

it("returns the same bytes, and only the last block may be shorter", async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 20 }));
  await fc.assert(
    fc.asyncProperty(chunks, fc.integer({ min: 1, max: 16 }), async (given, size) => {
      const blocks = await blocksOf(given, size);
      expect(Buffer.concat(blocks)).toEqual(Buffer.concat(given));
      expect(blocks.slice(0, -1).every(({ length }) => length === size)).toBe(true);
      expect(blocks.every(({ length }) => length > 0 && length <= size)).toBe(true);
    }),
  );
});

it("gives each block memory of its own, of its own length", async () => {
  const blocks = await blocksOf([Buffer.from("abcdefgh")], 3);
  expect(new Set(blocks.map(({ buffer }) => buffer)).size).toBe(3);
  expect(blocks.map(({ buffer }) => buffer.byteLength)).toEqual([3, 3, 2]);
});

it("uses spare blocks", async () => {
  const spare = [new Uint8Array(3)];
  const [given] = spare;
  const [first] = await blocksOf([Buffer.from("abc")], 3, spare);
  expect(first?.buffer).toBe(given?.buffer);
});
