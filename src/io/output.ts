import { writeSync } from "node:fs";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { Backoff } from "./wait.ts";

/** Takes bytes in order; each `write` is waited for before the next. */
export interface Sink {
  write(bytes: Uint8Array): void | Promise<void>;
  /** Called once, after the last `write`; only then is all of it taken. */
  finish?(): Promise<void>;
}

/** Where the plaintext goes: a descriptor, blocking or not. */
export class Output implements Sink {
  readonly #fd: number;
  readonly #name: string;
  readonly #backoff = new Backoff();

  /** @param name for messages: "standard output" */
  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
  }

  /** Writes all of `bytes`. @throws DecoderError IO; its cause is EPIPE when the reader went away */
  write(bytes: Uint8Array): void {
    let offset = 0;
    while (offset < bytes.length) {
      try {
        offset += writeSync(this.#fd, bytes, offset, bytes.length - offset);
        this.#backoff.reset();
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === "EAGAIN") this.#backoff.sleep();
        else if (errno !== "EINTR")
          throw new DecoderError("IO", `can't write ${this.#name}: ${describeSystemError(error)}`, {
            cause: error,
          });
      }
    }
  }
}
