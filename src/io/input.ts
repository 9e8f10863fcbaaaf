import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { files } from "../process/files.ts";
import { backOff } from "../process/runtime.ts";

/** A sequence of bytes that is read once, from its beginning. */
export interface ByteSource {
  /** Size in bytes, if known in advance. */
  readonly size: number | undefined;
  /**
   * Reads the available bytes, at least one, into `buffer` from `offset` on.
   * @returns the number of bytes, 0 at the end
   * @throws DecoderError IO
   */
  read(buffer: Uint8Array, offset?: number): number | Promise<number>;
}

/** Reads a blocking or non-blocking descriptor. */
export class Input implements ByteSource {
  /** Size in bytes, if known in advance. */
  readonly size: number | undefined = undefined;
  readonly #fd: number;
  readonly #name: string;
  /** Bytes that `peek` returned and `read` has yet to return. */
  #ahead = new Uint8Array(0);

  /** @param name the input in messages: "standard input" */
  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
  }

  /** Returns the next `length` bytes, or fewer at the end. `read` returns them again. @throws DecoderError IO */
  peek(length: number): Uint8Array<ArrayBuffer> {
    if (this.#ahead.length < length) {
      const ahead = new Uint8Array(length);
      this.#ahead = ahead.subarray(0, this.fill(ahead));
    }
    return this.#ahead.subarray(0, length);
  }

  /** Fills `buffer` with one read, of at most 64 KiB from a pipe. Returns 0 at the end. @throws DecoderError IO */
  read(buffer: Uint8Array, offset = 0, length = buffer.length - offset): number {
    if (this.#ahead.length > 0) return this.#takeAhead(buffer, offset, length);
    return this.next(buffer, offset, length);
  }

  /** Reads until `buffer` is full or the input ends. Returns the number of bytes. */
  fill(buffer: Uint8Array): number {
    let length = 0;
    while (length < buffer.length) {
      const count = this.read(buffer, length);
      if (count === 0) break;
      length += count;
    }
    return length;
  }

  /** Reads the bytes that follow everything read or peeked so far. */
  protected next(buffer: Uint8Array, offset: number, length: number): number {
    for (let waitedMs = 0; ; ) {
      try {
        return files.readSync(this.#fd, buffer, offset, length, null);
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === "EAGAIN") waitedMs = backOff(waitedMs);
        else if (errno === "EOF") return 0;
        else if (errno !== "EINTR")
          throw new DecoderError("IO", `can't read ${this.#name}: ${describeSystemError(error)}`, {
            cause: error,
          });
      }
    }
  }

  #takeAhead(buffer: Uint8Array, offset: number, length: number): number {
    const taken = this.#ahead.subarray(0, length);
    buffer.set(taken, offset);
    this.#ahead = this.#ahead.subarray(taken.length);
    return taken.length;
  }
}
