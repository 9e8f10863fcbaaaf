import { describe, expect, it } from "vitest";
import { free, freeInOrder, freeing } from "../../../src/io/free.ts";

const KiB = 1024;

describe("memory", () => {
  it("of a large buffer is freed at once", () => {
    const bytes = new Uint8Array(97 * KiB);
    free(bytes.subarray(0, 10));
    expect(bytes.byteLength).toBe(0);
  });

  it("of a buffer that may be the runtime's pool is not", () => {
    const pooled = Buffer.allocUnsafe(10);
    free(pooled);
    freeInOrder(new Uint8Array(pooled.buffer));
    expect(pooled.byteLength).toBe(10);
  });

  it("is freed from 96 KiB on", () => {
    const [kept, freed] = [new Uint8Array(96 * KiB), new Uint8Array(96 * KiB + 1)];
    free(kept);
    free(freed);
    expect([kept.byteLength, freed.byteLength]).toEqual([96 * KiB, 0]);
  });

  it("of parts is freed with the last one", () => {
    const bytes = new Uint8Array(150 * KiB);
    const last = bytes.subarray(64 * KiB);
    freeInOrder(bytes.subarray(0, 64 * KiB));
    expect(last.byteLength).toBe(86 * KiB);
    freeInOrder(last);
    expect(bytes.byteLength).toBe(0);
  });

  it("of a chunk is freed when the next one is asked for", async () => {
    const given = [new Uint8Array(97 * KiB), new Uint8Array(97 * KiB)];
    const left: number[][] = [];
    async function* chunks() {
      yield* given;
    }
    for await (const _chunk of freeing(chunks())) left.push(given.map(({ byteLength }) => byteLength));
    expect(left).toEqual([
      [97 * KiB, 97 * KiB],
      [0, 97 * KiB],
    ]);
  });

  it("that is shared stays", () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(150 * KiB));
    free(bytes);
    expect(bytes.byteLength).toBe(150 * KiB);
  });
});
