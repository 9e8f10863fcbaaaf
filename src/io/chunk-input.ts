import type { ByteSource } from "./input.ts";

/** Presents a sequence of chunks, such as a blob or a network stream, as one byte source. */
export class ChunkInput implements ByteSource {
  readonly size: number | undefined;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  /** @param size in bytes, if known */
  constructor(chunks: AsyncIterable<Uint8Array>, size?: number) {
    this.size = size;
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** @throws whatever the chunks throw */
  async read(buffer: Uint8Array, offset = 0): Promise<number> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return 0;
      this.#rest = value;
    }
    const taken = this.#rest.subarray(0, buffer.length - offset);
    buffer.set(taken, offset);
    this.#rest = this.#rest.subarray(taken.length);
    return taken.length;
  }

  /** Stops the chunks at any point. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
