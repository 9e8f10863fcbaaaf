import { execFileSync } from "node:child_process";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../../src/io/digester.ts";
import { gzip, gzipBlocks, gzipMember } from "../../../src/transport/gzip.ts";

/** Compressible, and the same on every machine. */
const TEXT = Buffer.from(Array.from({ length: 300_000 }, (_, i) => 97 + ((i * i) % 23) + (i % 7)));

async function* cut(bytes: Uint8Array, size: number) {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function compress(bytes: Uint8Array, size: number, level: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of gzip(cut(bytes, size), level)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test.each([1, 6, 9])(
  "level %i gives back what went in, and the same bytes however it is cut",
  async (level) => {
    const whole = await compress(TEXT, TEXT.length, level);
    expect(gunzipSync(whole).equals(TEXT)).toBe(true);
    for (const size of [997, 65_535, 65_536, 65_537])
      expect(await compress(TEXT, size, level)).toEqual(whole);
  },
);

test("the bytes are those of every other machine", async () => {
  expect(digestOf(await compress(TEXT, 4096, 6))).toBe(
    "sha256:3795ed7d16ab8c3ce647c858258d0d761d20be84c706e2e7f2127788e3472fc0",
  );
});

test("nothing becomes an empty member, without a time or a name", async () => {
  const empty = await compress(new Uint8Array(), 1, 6);
  expect([...empty.subarray(0, 10)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
  expect(gunzipSync(empty)).toHaveLength(0);
});

test("several at a time don't disturb each other", async () => {
  const alone = await compress(TEXT, 10_000, 6);
  const together = await Promise.all(Array.from({ length: 8 }, () => compress(TEXT, 10_000, 6)));
  for (const one of together) expect(one).toEqual(alone);
});

test("an error of the source comes through", async () => {
  async function* failing() {
    yield TEXT;
    throw new Error("the disk is gone");
  }
  const drain = async () => {
    for await (const _ of gzip(failing(), 6));
  };
  await expect(drain()).rejects.toThrow("the disk is gone");
});

describe("more than a block", () => {
  const BLOCK = 4 * 1024 * 1024;
  /** Two blocks and a bit, the second unlike the first. */
  const LARGE = Buffer.concat([
    Buffer.alloc(BLOCK, TEXT),
    Buffer.alloc(BLOCK, TEXT.subarray(1000)),
    TEXT.subarray(0, 12_345),
  ]);

  test("becomes a member for each 4 MiB, which any decoder of gzip takes as one", async () => {
    const whole = await compress(LARGE, 1_000_003, 6);
    const members = await Promise.all(
      [0, BLOCK, 2 * BLOCK].map(async (start) => await gzipMember(LARGE.subarray(start, start + BLOCK), 6)),
    );
    expect(whole.equals(Buffer.concat(members))).toBe(true);
    expect(gunzipSync(whole).equals(LARGE)).toBe(true);
    const cli = execFileSync("gzip", ["-dc"], { input: whole, maxBuffer: 2 * LARGE.length });
    expect(cli.equals(LARGE)).toBe(true);
    expect(digestOf(whole)).toBe("sha256:fee39df0a6cf6df9dd1881be45ce8477133cd4290202a91d49e3c04a3a34e481");
  });

  test.each([
    ["nothing", 0, [0]],
    ["one block", BLOCK, [BLOCK]],
    ["one byte more", BLOCK + 1, [BLOCK, 1]],
  ])("%s is cut into blocks of these sizes", async (_, length, sizes) => {
    const blocks: number[] = [];
    for await (const block of gzipBlocks(cut(LARGE.subarray(0, length), 70_001))) blocks.push(block.length);
    expect(blocks).toEqual(sizes);
  });
});
