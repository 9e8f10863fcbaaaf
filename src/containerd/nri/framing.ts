import type { Bytes } from "../../encoding/bytes.ts";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../system-limits.ts";

/** How a protocol marks the ends of its messages. */
interface Framing {
  readonly headerBytes: number;
  /** Where the header holds the length of what follows it, as 32 bits, big endian. */
  readonly lengthAt: number;
  readonly maxBytes: number;
}

/** containerd/ttrpc, PROTOCOL.md: length, stream ID, type and flags. */
export const TTRPC: Framing = { headerBytes: 10, lengthAt: 0, maxBytes: LIMITS.ttrpcBytes };
/** containerd/nri, pkg/net/multiplex: connection ID and length. Each write of ttrpc becomes one frame. */
export const MULTIPLEX: Framing = {
  headerBytes: 8,
  lengthAt: 4,
  maxBytes: TTRPC.headerBytes + TTRPC.maxBytes,
};

export interface Frame {
  readonly header: Buffer;
  readonly data: Bytes;
}

/** Finds frames in a stream that is cut anywhere. */
export class FrameReader {
  readonly #framing: Framing;
  #chunks: Buffer<ArrayBuffer>[] = [];
  #size = 0;

  constructor(framing: Framing) {
    this.#framing = framing;
  }

  /** Adds bytes, and returns the frames that are whole now. @throws DecoderError LIMIT */
  push(bytes: Bytes): Frame[] {
    this.#chunks.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    this.#size += bytes.length;
    const frames: Frame[] = [];
    for (let frame = this.#take(); frame !== undefined; frame = this.#take()) frames.push(frame);
    return frames;
  }

  #take(): Frame | undefined {
    const { headerBytes, lengthAt, maxBytes } = this.#framing;
    if (this.#size < headerBytes) return undefined;
    const length = this.#joined(headerBytes).readUInt32BE(lengthAt);
    if (length > maxBytes)
      throw new DecoderError("LIMIT", `containerd's NRI sent a message of ${length} bytes`);
    const end = headerBytes + length;
    if (this.#size < end) return undefined;
    const all = this.#joined(end);
    this.#chunks = [all.subarray(end)];
    this.#size -= end;
    return { header: all.subarray(0, headerBytes), data: all.subarray(headerBytes, end) };
  }

  /** The first chunk, with at least `size` bytes. Chunks are joined only when a frame needs it. */
  #joined(size: number): Buffer<ArrayBuffer> {
    if ((this.#chunks[0]?.length ?? 0) < size) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }
}
