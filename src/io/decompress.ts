import { once } from "node:events";
import type { Transform } from "node:stream";
import zlib from "node:zlib";
import { beginsZstd, ZstdFrames } from "../encoding/zstd-frames.ts";
import { DecoderError } from "../errors.ts";
import type { Output, Sink } from "./output.ts";

/** Bytes that one step of decompressing gives at most. */
const CHUNK_BYTES = 64 * 1024;
/** Held back until the data proved whole: more than a tar's end-of-archive and padding (10 KiB). */
const WITHHELD_BYTES = 64 * 1024;

/** Decompresses gzip or zstd data, whichever it is, on its way to an output. */
export class Expander implements Sink {
  readonly #output: Output;
  readonly #maxBytes: number;
  #decompressor: Transform | undefined;
  /** When the decompressor is done, in whatever way. */
  #closed: Promise<unknown> | undefined;
  #frames: ZstdFrames | undefined;
  #count = 0;
  #withheld = Buffer.alloc(0);
  #failure: unknown;

  /** @param maxBytes what may come out at most */
  constructor(output: Output, maxBytes: number) {
    this.#output = output;
    this.#maxBytes = maxBytes;
  }

  /**
   * @throws DecoderError BAD_IMAGE for damaged data, LIMIT when too much comes out, IO when the output fails; all but the
   * last 64 KiB may have been written then
   */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    this.#decompressor ??= this.#start(bytes);
    this.#frames?.update(bytes);
    await this.#settled(new Promise<void>((resolve) => this.#decompressor?.write(bytes, () => resolve())));
  }

  /** The end of the data. @throws as write does */
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
    // RFC 1952 §2.3.1
    if (head[0] === 0x1f && head[1] === 0x8b) return zlib.createGunzip({ chunkSize: CHUNK_BYTES });
    if (!beginsZstd(head)) throw unknownCompression();
    if (zlib.createZstdDecompress === undefined)
      throw new DecoderError(
        "BAD_IMAGE",
        "the layer is compressed with zstd, which this runtime can't decompress",
      );
    this.#frames = new ZstdFrames();
    return zlib.createZstdDecompress({ chunkSize: CHUNK_BYTES });
  }

  /** Called by the stream, which would make any error a crash: it is kept until whoever waits can throw it. */
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

  /** Waits for a step, which a stream that failed never ends. */
  async #settled(step: Promise<unknown>): Promise<void> {
    await Promise.race([step.catch(() => undefined), this.#closed]);
    if (this.#failure === undefined) return;
    throw this.#failure instanceof DecoderError ? this.#failure : damaged();
  }
}

function unknownCompression(): DecoderError {
  return new DecoderError(
    "BAD_IMAGE",
    "the decrypted layer is neither gzip nor zstd data, as its media type says",
  );
}

function damaged(): DecoderError {
  return new DecoderError("BAD_IMAGE", "the decrypted layer's compressed data are damaged or end too early", {
    hint: "they are what was encrypted, so the image was made from a damaged layer",
  });
}

function tooLarge(maxBytes: number): DecoderError {
  return new DecoderError("LIMIT", `the layer decompresses to more than ${maxBytes} bytes`, {
    hint: "if it is to be trusted, allow more with --max-expansion",
  });
}
