import { gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../../src/io/digester.ts";
import { checkedChunks } from "../../../src/transport/blob.ts";
import { decompress } from "../../../src/transport/compression.ts";

const TEXT = Buffer.from("some text, over and over. ".repeat(20_000));
const FORMS = [
  { compression: "gzip", packed: gzipSync(TEXT) },
  { compression: "zstd", packed: zstdCompressSync(TEXT) },
] as const;

async function unpack(
  compression: "gzip" | "zstd" | "none",
  bytes: Uint8Array,
  size = 1000,
): Promise<Buffer> {
  async function* cut() {
    for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of decompress(compression, cut(), "it")) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe.each(FORMS)("$compression", ({ compression, packed }) => {
  test("is unpacked, whatever its chunks", async () => {
    expect((await unpack(compression, packed)).equals(TEXT)).toBe(true);
    expect((await unpack(compression, packed, 1)).equals(TEXT)).toBe(true);
  });

  test("of several members is unpacked whole", async () => {
    expect(await unpack(compression, Buffer.concat([packed, packed]))).toHaveLength(2 * TEXT.length);
  });

  test.each([1, 10, packed.length - 1])("cut to %i bytes is damaged", async (length) => {
    await expect(unpack(compression, packed.subarray(0, length))).rejects.toMatchObject({
      code: "BAD_IMAGE",
    });
  });

  test("whose reader stops early does not hang", async () => {
    for await (const _ of decompress(compression, endless(packed), "it")) break;
  });

  test("that is followed by something else is still checked to its last byte", async () => {
    const bytes = Buffer.concat([packed, Buffer.alloc(500_000, "x")]);
    const blob = { mediaType: "", digest: digestOf(Buffer.from("another")), size: bytes.length };
    const drain = async () => {
      for await (const _ of decompress(compression, checkedChunks({ kind: "memory", bytes }, blob), "it"));
    };
    await expect(drain()).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  });
});

async function* endless(bytes: Uint8Array) {
  for (;;) yield bytes;
}

test("uncompressed data passes unchanged", async () => {
  expect((await unpack("none", TEXT)).equals(TEXT)).toBe(true);
});
