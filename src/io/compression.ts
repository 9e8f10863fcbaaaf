import type { Transform } from "node:stream";
import zlib from "node:zlib";
import { beginsZstd, ZstdFrames } from "../encoding/zstd-frames.ts";
import { DecoderError } from "../errors.ts";
import type { Compression } from "../spec/media-types.ts";

/** Number of first bytes that identify a compression. */
export const MAGIC_BYTES = 4;
/** Maximum output of one decompression step, in bytes. */
const CHUNK_BYTES = 64 * 1024;

interface Decompressor {
  readonly stream: Transform;
  /** Receives the compressed bytes too. Not every runtime's zstd stream notices truncated input. */
  readonly frames: ZstdFrames | undefined;
}

/** Identifies the compression of data by its first bytes. A zstd skippable frame may come first. */
export function compressionOf(head: Uint8Array): Compression {
  // RFC 1952 §2.3.1
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  return beginsZstd(head) ? "zstd" : "none";
}

/**
 * Creates a decompressor from the runtime's own zlib, which is faster than others and whose output is the same everywhere.
 * @throws DecoderError BAD_IMAGE when the runtime lacks zstd
 */
export function createDecompressor(compression: Exclude<Compression, "none">): Decompressor {
  const options = { chunkSize: CHUNK_BYTES };
  if (compression === "gzip") return { stream: zlib.createGunzip(options), frames: undefined };
  if (zlib.createZstdDecompress === undefined)
    throw new DecoderError("BAD_IMAGE", "this runtime can't decompress zstd data");
  return { stream: zlib.createZstdDecompress(options), frames: new ZstdFrames() };
}
