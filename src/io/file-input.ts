import { DecoderError, describeSystemError } from "../errors.ts";
import { files } from "../process/files.ts";
import { openRegularFile, readFully } from "./file.ts";
import { Input } from "./input.ts";

/** Reads a regular file in order, and again from any position. Bytes added after it was opened are ignored. */
export class FileInput extends Input {
  override readonly size: number;
  readonly #fd: number;
  readonly #name: string;
  #position = 0;

  private constructor(fd: number, name: string, size: number) {
    super(fd, name);
    this.#fd = fd;
    this.#name = name;
    this.size = size;
  }

  /**
   * @param name the file's name in messages
   * @throws as openRegularFile does
   */
  static open(path: string, name: string): FileInput {
    const { fd, size } = openRegularFile(path);
    return new FileInput(fd, name, size);
  }

  /** Returns an input that reads the same open file from its beginning. */
  again(): FileInput {
    return new FileInput(this.#fd, this.#name, this.size);
  }

  /**
   * Fills `buffer` from a position in the file.
   * @returns the number of bytes, fewer than the buffer holds only at the end of the file
   * @throws DecoderError IO
   */
  readAt(buffer: Uint8Array, position: number): number {
    const wanted = Math.min(buffer.length, Math.max(0, this.size - position));
    try {
      return readFully(this.#fd, wanted === buffer.length ? buffer : buffer.subarray(0, wanted), position);
    } catch (cause) {
      throw new DecoderError("IO", `can't read ${this.#name}: ${describeSystemError(cause)}`, { cause });
    }
  }

  close(): void {
    files.closeSync(this.#fd);
  }

  /** A short read ends the input, even if the file was truncated and grows again. */
  protected override next(buffer: Uint8Array, offset: number, length: number): number {
    const isWhole = offset === 0 && length === buffer.length;
    const count = this.readAt(isWhole ? buffer : buffer.subarray(offset, offset + length), this.#position);
    this.#position = count < length ? this.size : this.#position + count;
    return count;
  }
}
