import { closeSync, constants, existsSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";

/** open(2)'s O_TMPFILE on Linux: a file without a name, which no SIGKILL can leave behind. Node's constants lack it. */
const O_TMPFILE = 0o20200000;
/**
 * Not every file system has it: EOPNOTSUPP, which Linux and so libuv do not tell from ENOTSUP; old kernels take it for
 * a directory to write (EISDIR).
 */
const NO_TMPFILE: ReadonlySet<string | undefined> = new Set(["EOPNOTSUPP", "ENOTSUP", "EISDIR", "EINVAL"]);
const MODE = 0o600;

/** A nameless temporary file for ciphertext that memory should not hold. */
export class Spool {
  readonly #fd: number;
  readonly #directory: string;

  /** @param directory undefined: $TMPDIR, else /var/tmp (disk, where /tmp may be memory), else /tmp. @throws DecoderError IO */
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
        offset += writeSync(this.#fd, bytes, offset, bytes.length - offset);
    } catch (error) {
      throw this.#failure("can't write a temporary file in", error);
    }
  }

  /** One read at a place where something was written, as readSync. @throws DecoderError IO, also at the end */
  readAt(buffer: Uint8Array, position: number): number {
    let count: number;
    try {
      count = readSync(this.#fd, buffer, 0, buffer.length, position);
    } catch (error) {
      throw this.#failure("can't read a temporary file in", error);
    }
    if (count === 0)
      throw this.#failure("a temporary file was cut in", new Error("less is in it than was written"));
    return count;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #failure(what: string, cause: unknown): DecoderError {
    return new DecoderError("IO", `${what} ${this.#directory}: ${describeSystemError(cause)}`, {
      cause,
      hint: "--spool-dir names another folder for it, --spool-memory keeps larger layers in memory",
    });
  }
}

/** Of large temporary files. */
export function defaultDirectory(): string {
  return process.env["TMPDIR"] || (existsSync("/var/tmp") ? "/var/tmp" : "/tmp");
}

/** Opens a new file without a name, to read and write. */
export function openNameless(directory: string): number {
  if (process.platform === "linux") {
    try {
      return openSync(directory, O_TMPFILE | constants.O_RDWR, MODE);
    } catch (error) {
      if (!NO_TMPFILE.has(errnoOf(error))) throw error;
    }
  }
  const random = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex");
  const path = join(directory, `.ctd-decoder-${random}`);
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, MODE);
  unlinkSync(path);
  return fd;
}
