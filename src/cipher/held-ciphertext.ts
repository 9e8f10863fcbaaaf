import { Spool } from "../io/spool.ts";
import { CHUNK_BYTES, firstOf } from "./authenticator.ts";

const BLOCK_BYTES = 1024 * 1024;

/** The ciphertext between its two readings: the first for its HMAC, the second to be decrypted. */
export interface TwiceReadCiphertext {
  /** Takes the next bytes. @throws DecoderError IO */
  append(bytes: Uint8Array): void;
  /** Yields everything that was appended, in order. Each piece is valid until the next. @throws DecoderError IO */
  pieces(): Iterable<Uint8Array>;
  close(): void;
}

/** Ciphertext held in memory up to a limit, and beyond it in a nameless file. */
export class HeldCiphertext implements TwiceReadCiphertext {
  readonly #blocks: Uint8Array[] = [];
  readonly #memoryLimit: number;
  readonly #directory: string | undefined;
  #inMemory = 0;
  #spool: Spool | undefined;
  #spooled = 0;

  /** @param directory the file's folder, undefined for the default */
  constructor(memoryLimit: number, directory: string | undefined) {
    this.#memoryLimit = memoryLimit;
    this.#directory = directory;
  }

  /** Copies `bytes`. */
  append(bytes: Uint8Array): void {
    let rest = bytes;
    while (this.#inMemory < this.#memoryLimit) {
      const used = this.#inMemory % BLOCK_BYTES;
      if (used === 0)
        this.#blocks.push(new Uint8Array(Math.min(BLOCK_BYTES, this.#memoryLimit - this.#inMemory)));
      const block = this.#blocks.at(-1) ?? new Uint8Array(0);
      const part = rest.subarray(0, block.length - used);
      block.set(part, used);
      this.#inMemory += part.length;
      rest = rest.subarray(part.length);
      if (rest.length === 0) return;
    }
    this.#spool ??= new Spool(this.#directory);
    this.#spool.write(rest);
    this.#spooled += rest.length;
  }

  /** @throws DecoderError IO when the file has less than was written */
  *pieces(): Generator<Uint8Array> {
    for (let offset = 0; offset < this.#inMemory; offset += CHUNK_BYTES) {
      const block = this.#blocks[Math.floor(offset / BLOCK_BYTES)] ?? new Uint8Array(0);
      const start = offset % BLOCK_BYTES;
      yield block.subarray(start, Math.min(start + CHUNK_BYTES, start + this.#inMemory - offset));
    }
    if (this.#spool === undefined) return;
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (let position = 0; position < this.#spooled; ) {
      const wanted = Math.min(buffer.length, this.#spooled - position);
      const count = this.#spool.readAt(firstOf(buffer, wanted), position);
      yield firstOf(buffer, count);
      position += count;
    }
  }

  close(): void {
    this.#spool?.close();
  }
}
