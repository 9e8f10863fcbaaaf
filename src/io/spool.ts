import { join } from "node:path";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { constants, exists, files } from "../process/files.ts";

/** open(2)'s O_TMPFILE on Linux: a file without a name, which cannot survive a SIGKILL. Node's constants lack it. */
const O_TMPFILE = 0o20200000;
/**
 * Errors where O_TMPFILE is not supported. File systems without it return EOPNOTSUPP, which libuv may call ENOTSUP. Old
 * kernels see an attempt to write a directory (EISDIR).
 */
const NO_TMPFILE: ReadonlySet<string | undefined> = new Set(["EOPNOTSUPP", "ENOTSUP", "EISDIR", "EINVAL"]);
const MODE = 0o600;

/** A nameless temporary file for ciphertext that is too large for memory. */
export class Spool {
  readonly #fd: number;
  readonly #directory: string;

  /** @param directory undefined for the default directory. @throws DecoderError IO */
  constructor(directory: string | undefined) {
    this.#directory = directory ?? defaultDirectory();
    try {
      this.#fd = openNameless(this.#directory);
    } catch (error) {
      throw this.#failure("can't make a temporary file in", error);
    }
  }

  write(bytes: Uint8Array): void {
    try {
      for (let offset = 0; offset < bytes.length; )
        offset += files.writeSync(this.#fd, bytes, offset, bytes.length - offset);
    } catch (error) {
      throw this.#failure("can't write a temporary file in", error);
    }
  }

  /** Reads once, as readSync does, from a position that was written. @throws DecoderError IO, also at the end */
  readAt(buffer: Uint8Array, position: number): number {
    let count: number;
    try {
      count = files.readSync(this.#fd, buffer, 0, buffer.length, position);
    } catch (error) {
      throw this.#failure("can't read a temporary file in", error);
    }
    if (count === 0)
      throw this.#failure("can't read back a temporary file in", new Error("it was truncated"));
    return count;
  }

  close(): void {
    files.closeSync(this.#fd);
  }

  #failure(what: string, cause: unknown): DecoderError {
    return new DecoderError("IO", `${what} ${this.#directory}: ${describeSystemError(cause)}`, {
      cause,
      hint: "choose another folder with $TMPDIR or the decoder's --spool-dir; its --spool-memory keeps larger layers in memory",
    });
  }
}

/** The folder for large temporary files. /var/tmp comes before /tmp, which may be in memory. */
export function defaultDirectory(): string {
  return process.env["TMPDIR"] || (exists("/var/tmp") ? "/var/tmp" : "/tmp");
}

/** Opens a new file without a name for reading and writing. */
export function openNameless(directory: string): number {
  if (process.platform === "linux") {
    try {
      return files.openSync(directory, O_TMPFILE | constants.O_RDWR, MODE);
    } catch (error) {
      if (!NO_TMPFILE.has(errnoOf(error))) throw error;
    }
  }
  const random = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex");
  const path = join(directory, `.ctd-decoder-${random}`);
  const fd = files.openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, MODE);
  files.unlinkSync(path);
  return fd;
}
