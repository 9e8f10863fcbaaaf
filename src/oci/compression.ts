import { Readable } from "node:stream";
import zlib from "node:zlib";
import { DecoderError } from "../errors.ts";
import type { Compression } from "../spec/media-types.ts";
import { type Blob, readBlob } from "./blob.ts";

type Chunks = AsyncIterable<Uint8Array>;

/** First bytes: RFC 1952 §2.3.1, RFC 8878 §3.1.1. */
const MAGIC: readonly { readonly compression: Compression; readonly bytes: Uint8Array }[] = [
  { compression: "gzip", bytes: Uint8Array.of(0x1f, 0x8b) },
  { compression: "zstd", bytes: Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd) },
];

/** What a blob looks like by its first bytes. @throws DecoderError IO */
export async function sniffCompression(blob: Blob): Promise<Compression> {
  const start = "bytes" in blob ? blob : { ...blob, size: Math.min(blob.size, 4) };
  const chunks: Uint8Array[] = [];
  for await (const chunk of readBlob(start)) chunks.push(chunk);
  const head = Buffer.concat(chunks);
  return MAGIC.find(({ bytes }) => head.subarray(0, bytes.length).equals(bytes))?.compression ?? "none";
}

/**
 * The uncompressed bytes, by the runtime's own zlib: what comes out is the same wherever it runs, and it is faster.
 * @throws DecoderError BAD_IMAGE naming `name` for damaged data; what `chunks` throws
 */
export async function* decompress(
  compression: Compression,
  chunks: Chunks,
  name: string,
): AsyncGenerator<Uint8Array> {
  if (compression === "none") {
    yield* chunks;
    return;
  }
  const source = Readable.from(chunks, { objectMode: false });
  const inflate = compression === "gzip" ? zlib.createGunzip() : zlib.createZstdDecompress();
  source.on("error", (error) => inflate.destroy(error));
  try {
    for await (const chunk of source.pipe(inflate)) yield chunk;
  } catch (error) {
    if (error instanceof DecoderError) throw error;
    throw new DecoderError("BAD_IMAGE", `${name} is damaged: it is no complete ${compression} data`, {
      cause: error,
    });
  } finally {
    source.destroy();
    inflate.destroy();
  }
}
