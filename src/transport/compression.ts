import { once } from "node:events";
import type { Transform } from "node:stream";
import type { ZstdFrames } from "../encoding/zstd-frames.ts";
import { DecoderError } from "../errors.ts";
import { createDecompressor } from "../io/compression.ts";
import type { Compression } from "../spec/media-types.ts";

type Chunks = AsyncIterable<Uint8Array>;

/**
 * Decompresses chunks. All of `chunks` is read even if the data is damaged, so that a wrong digest, which is checked on the
 * way, is reported first.
 * @param name the data in messages
 * @throws DecoderError BAD_IMAGE for damaged data; whatever `chunks` throws
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
  const { stream: inflate, frames } = createDecompressor(compression);
  const feeding = new Feeding(inflate, frames ? followed(chunks, frames) : chunks);
  try {
    for await (const chunk of inflate) yield chunk;
    await feeding.done;
    if (frames?.isWhole === false) throw new Error("the data ends in the middle of a frame");
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
