import { closeSync, openSync, readSync } from "node:fs";
import { DecoderError, describeSystemError } from "../errors.ts";
import { Input } from "./input.ts";

/** The bytes of a file, in order, and once more from any place in it. */
export class FileInput extends Input {
  readonly #fd: number;
  readonly #name: string;

  constructor(fd: number, name: string) {
    super(fd, name);
    this.#fd = fd;
    this.#name = name;
  }

  /** Fills all that is asked for; less only at the end, where read(2) may stop anywhere. @throws DecoderError IO */
  override read(buffer: Uint8Array, offset = 0, length = buffer.length - offset): number {
    let done = 0;
    while (done < length) {
      const count = super.read(buffer, offset + done, length - done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  /** Fills all of `buffer` from a place in the file, and tells how much of it; less only at the end. @throws DecoderError IO */
  readAt(buffer: Uint8Array, position: number): number {
    let length = 0;
    try {
      while (length < buffer.length) {
        const count = readSync(this.#fd, buffer, length, buffer.length - length, position + length);
        if (count === 0) break;
        length += count;
      }
    } catch (cause) {
      throw unreadable(this.#name, cause);
    }
    return length;
  }
}

/** Lends `use` a file's bytes. @param name of the file, for messages. @throws DecoderError IO */
export async function withFile(
  path: string,
  name: string,
  use: (input: FileInput) => Promise<void>,
): Promise<void> {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    throw unreadable(name, cause);
  }
  try {
    await use(new FileInput(fd, name));
  } finally {
    closeSync(fd);
  }
}

function unreadable(name: string, cause: unknown): DecoderError {
  return new DecoderError("IO", `can't read ${name}: ${describeSystemError(cause)}`, { cause });
}
