import { once } from "node:events";
import type { Transform } from "node:stream";
import zlib from "node:zlib";
import { ZstdFrames } from "../encoding/zstd-frames.ts";
import { DecoderError } from "../errors.ts";
import type { Compression } from "../spec/media-types.ts";

type Chunks = AsyncIterable<Uint8Array>;

/** First bytes: RFC 1952 §2.3.1, RFC 8878 §3.1.1. */
const MAGIC: readonly { readonly compression: Compression; readonly bytes: Uint8Array }[] = [
  { compression: "gzip", bytes: Uint8Array.of(0x1f, 0x8b) },
  { compression: "zstd", bytes: Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd) },
];
/** Number of first bytes that identify a compression. */
export const MAGIC_BYTES = 4;

/** A file's compression by its first bytes. */
export function compressionOf(head: Uint8Array): Compression {
  const start = Buffer.from(head.buffer, head.byteOffset, head.length);
  return MAGIC.find(({ bytes }) => start.subarray(0, bytes.length).equals(bytes))?.compression ?? "none";
}

/**
 * Decompresses with the runtime's own zlib, which is faster; its output is the same everywhere. All of `chunks` is read even
 * if the data are damaged, so that a wrong digest, checked on the way, is reported first.
 * @param name the data in messages
 * @throws DecoderError BAD_IMAGE for damaged data; what `chunks` throws
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
  const inflate = compression === "gzip" ? zlib.createGunzip() : zlib.createZstdDecompress();
  const frames = compression === "zstd" ? new ZstdFrames() : undefined;
  const feeding = new Feeding(inflate, frames ? followed(chunks, frames) : chunks);
  try {
    for await (const chunk of inflate) yield chunk;
    await feeding.done;
    if (frames?.isWhole === false) throw new Error("the data end in the middle of a frame");
  } catch (error) {
    await feeding.done;
    throw new DecoderError("BAD_IMAGE", `${name} is damaged: it is not complete ${compression} data`, {
      cause: error,
    });
  } finally {
    feeding.abandon();
    inflate.destroy();
  }
}

async function* followed(chunks: Chunks, frames: ZstdFrames): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    frames.update(chunk);
    yield chunk;
  }
}

/** Writes chunks to a stream that may end before the last chunk, at the end of the compressed data. */
class Feeding {
  readonly done: Promise<void>;
  readonly #stream: Transform;
  readonly #closed: Promise<unknown>;
  #isListening = true;
  #isAbandoned = false;

  constructor(stream: Transform, chunks: Chunks) {
    this.#stream = stream;
    this.#closed = new Promise((resolve) => {
      for (const event of ["end", "error", "close"]) stream.once(event, resolve);
    }).then(() => {
      this.#isListening = false;
    });
    this.done = this.#feed(chunks);
    this.done.catch((error) => stream.destroy(error));
  }

  /** Stops reading. */
  abandon(): void {
    this.#isAbandoned = true;
  }

  async #feed(chunks: Chunks): Promise<void> {
    for await (const chunk of chunks) {
      if (this.#isAbandoned) return;
      if (this.#isListening && !this.#stream.write(chunk)) {
        const drained = once(this.#stream, "drain").catch(() => undefined);
        await Promise.race([drained, this.#closed]);
      }
    }
    if (this.#isListening) this.#stream.end();
  }
}
