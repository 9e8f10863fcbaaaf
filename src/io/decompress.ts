import { once } from "node:events";
import type { Transform } from "node:stream";
import type { ZstdFrames } from "../encoding/zstd-frames.ts";
import { DecoderError } from "../errors.ts";
import { compressionOf, createDecompressor, MAGIC_BYTES } from "./compression.ts";
import type { Output, Sink } from "./output.ts";

/** Bytes withheld until the data proves complete. A tar's end-of-archive and padding take less (10 KiB). */
const WITHHELD_BYTES = 64 * 1024;

/** Detects gzip or zstd data, and decompresses it into an output. */
export class Expander implements Sink {
  readonly #output: Output;
  readonly #maxBytes: number;
  /** The first bytes, until they suffice to recognise the compression. */
  #head = new Uint8Array(0);
  #decompressor: Transform | undefined;
  /** Resolves when the decompressor closes, after success or failure. */
  #closed: Promise<unknown> | undefined;
  #frames: ZstdFrames | undefined;
  #count = 0;
  #withheld = Buffer.alloc(0);
  #failure: unknown;

  /** @param maxBytes largest decompressed size */
  constructor(output: Output, maxBytes: number) {
    this.#output = output;
    this.#maxBytes = maxBytes;
  }

  /**
   * By the time it throws, all but the last 64 KiB may have been written.
   * @throws DecoderError BAD_IMAGE for damaged data, LIMIT for too large a result, IO when the output fails
   */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    const piece = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes]);
    if (this.#decompressor === undefined && piece.length < MAGIC_BYTES) {
      this.#head = Uint8Array.from(piece);
      return;
    }
    this.#head = new Uint8Array(0);
    this.#decompressor ??= this.#start(piece);
    this.#frames?.update(piece);
    await this.#settled(new Promise<void>((resolve) => this.#decompressor?.write(piece, () => resolve())));
  }

  /** Ends the data and writes what was withheld. @throws as write does */
  async finish(): Promise<void> {
    if (this.#decompressor === undefined) throw unknownCompression();
    const ended = once(this.#decompressor, "end");
    this.#decompressor.end();
    await this.#settled(ended);
    if (this.#frames?.isWhole === false) throw damaged();
    this.#output.write(this.#withheld);
  }

  #start(head: Uint8Array): Transform {
    const decompressor = this.#create(head);
    decompressor.on("data", (chunk: Buffer) => this.#take(chunk, decompressor));
    decompressor.on("error", (error) => {
      this.#failure ??= error;
    });
    this.#closed = new Promise((resolve) => decompressor.once("close", resolve));
    return decompressor;
  }

  #create(head: Uint8Array): Transform {
    const compression = compressionOf(head);
    if (compression === "none") throw unknownCompression();
    const { stream, frames } = createDecompressor(compression);
    this.#frames = frames;
    return stream;
  }

  /** The stream calls this. An error thrown here would crash the process, so it is kept for the waiting caller. */
  #take(chunk: Buffer, decompressor: Transform): void {
    if (this.#failure !== undefined) return;
    try {
      this.#count += chunk.length;
      if (this.#count > this.#maxBytes) throw tooLarge(this.#maxBytes);
      const ready = Buffer.concat([this.#withheld, chunk]);
      const released = Math.max(0, ready.length - WITHHELD_BYTES);
      this.#output.write(ready.subarray(0, released));
      this.#withheld = ready.subarray(released);
    } catch (error) {
      this.#failure = error;
      decompressor.destroy();
    }
  }

  /** Waits for a step, or for the stream to close: a failed stream never ends its step. */
  async #settled(step: Promise<unknown>): Promise<void> {
    await Promise.race([step.catch(() => undefined), this.#closed]);
    if (this.#failure === undefined) return;
    throw this.#failure instanceof DecoderError ? this.#failure : damaged();
  }
}

function unknownCompression(): DecoderError {
  return new DecoderError(
    "BAD_IMAGE",
    "the decrypted layer is not gzip or zstd data, contrary to its media type",
  );
}

function damaged(): DecoderError {
  return new DecoderError("BAD_IMAGE", "the decrypted layer's compressed data is damaged or ends too early", {
    hint: "the data was already damaged when it was encrypted: rebuild the image from an intact layer",
  });
}

function tooLarge(maxBytes: number): DecoderError {
  return new DecoderError("LIMIT", `the layer decompresses to more than ${maxBytes} bytes`, {
    hint: "if you trust the layer, allow more with --max-expansion",
  });
}
