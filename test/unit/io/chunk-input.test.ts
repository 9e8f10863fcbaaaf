import { describe, expect, test } from "vitest";
import { ChunkInput } from "../../../src/io/chunk-input.ts";

async function* chunksOf(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

async function readAll(input: ChunkInput, bytes: number): Promise<string[]> {
  const parts: string[] = [];
  for (;;) {
    const buffer = Buffer.alloc(bytes);
    const count = await input.read(buffer);
    if (count === 0) return parts;
    parts.push(buffer.toString("utf8", 0, count));
  }
}

describe("an input of chunks", () => {
  test.each([
    [2, ["ab", "c", "de", "f"]],
    [3, ["abc", "def"]],
    [100, ["abc", "def"]],
  ])("gives at most %i bytes a read, and no empty one before its end", async (bytes, parts) => {
    expect(await readAll(new ChunkInput(chunksOf("", "abc", "", "def", "")), bytes)).toEqual(parts);
  });

  test("fills a buffer from an offset on", async () => {
    const buffer = Buffer.from("....");
    expect(await new ChunkInput(chunksOf("abc")).read(buffer, 2)).toBe(2);
    expect(buffer.toString()).toBe("..ab");
  });

  test("stays at its end", async () => {
    const input = new ChunkInput(chunksOf("a"), 1);
    expect(input.size).toBe(1);
    expect(await readAll(input, 4)).toEqual(["a"]);
    expect(await input.read(Buffer.alloc(4))).toBe(0);
  });

  test("passes an error on", async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("a");
      throw new Error("cut");
    }
    await expect(readAll(new ChunkInput(broken()), 4)).rejects.toThrow("cut");
  });

  test("ends its chunks when it is closed", async () => {
    let isEnded = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Buffer.from("a");
      } finally {
        isEnded = true;
      }
    }
    const input = new ChunkInput(endless());
    await input.read(Buffer.alloc(1));
    await input.close();
    expect(isEnded).toBe(true);
  });
});
