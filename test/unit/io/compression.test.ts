import { gzipSync, zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { compressionOf } from "../../../src/io/compression.ts";

const TEXT = Buffer.from("some text");
/** RFC 8878 §3.1.2: a skippable frame of one byte. pzstd writes such frames first. */
const SKIPPABLE = Buffer.from("502a4d180100000000", "hex");

test.each([
  ["a gzip member", "gzip", gzipSync(TEXT)],
  ["a zstd frame", "zstd", zstdCompressSync(TEXT)],
  ["a skippable zstd frame", "zstd", Buffer.concat([SKIPPABLE, zstdCompressSync(TEXT)])],
  ["text", "none", TEXT],
  ["half of gzip's magic number", "none", Buffer.of(0x1f)],
  ["a part of zstd's magic number", "none", Buffer.of(0x28, 0xb5, 0x2f)],
  ["nothing", "none", Buffer.alloc(0)],
])("data that begins with %s has the compression %s", (_what, compression, bytes) => {
  expect(compressionOf(bytes)).toBe(compression);
});
