import { readSync } from "node:fs";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { Backoff } from "../process/runtime.ts";

/** A run of bytes that is read once, from its beginning. */
export interface ByteSource {
  /** Bytes, where that is known beforehand. */
  readonly size: number | undefined;
  /** Fills as much of `buffer` from `offset` on as is at hand, at least one byte; returns 0 at the end. @throws DecoderError IO */
  read(buffer: Uint8Array, offset?: number): number | Promise<number>;
}

/** Reads a descriptor, blocking or not. */
export class Input implements ByteSource {
  /** Bytes, where that is known beforehand. */
  readonly size: number | undefined = undefined;
  readonly #fd: number;
  readonly #name: string;
  readonly #backoff = new Backoff();
  /** What was looked at and not taken yet. */
  #ahead = new Uint8Array(0);

  /** @param name for messages: "standard input" */
  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
  }

  /** The next `length` bytes, fewer only where the input ends; reading gives them again. @throws DecoderError IO */
  peek(length: number): Uint8Array<ArrayBuffer> {
    if (this.#ahead.length < length) {
      const ahead = new Uint8Array(length);
      this.#ahead = ahead.subarray(0, this.fill(ahead));
    }
    return this.#ahead.subarray(0, length);
  }

  /** Fills as much of `buffer` as one read gives (64 KiB at most from a pipe); 0 at the end. @throws DecoderError IO */
  read(buffer: Uint8Array, offset = 0, length = buffer.length - offset): number {
    if (this.#ahead.length > 0) return this.#takeAhead(buffer, offset, length);
    return this.next(buffer, offset, length);
  }

  /** Reads until `buffer` is full or the input ends; tells how many bytes there are. */
  fill(buffer: Uint8Array): number {
    let length = 0;
    while (length < buffer.length) {
      const count = this.read(buffer, length);
      if (count === 0) break;
      length += count;
    }
    return length;
  }

  /** What comes after all that was read or looked at. */
  protected next(buffer: Uint8Array, offset: number, length: number): number {
    for (;;) {
      try {
        const count = readSync(this.#fd, buffer, offset, length, null);
        this.#backoff.reset();
        return count;
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === "EAGAIN") this.#backoff.sleep();
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
