import { fstatSync, readFileSync, writeSync } from "node:fs";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { Backoff } from "../process/runtime.ts";

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

  /** @param name for messages: "standard output". @throws DecoderError IO when it was closed from the start */
  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
    requireOpen(fd, name);
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

/** stdin, stdout, stderr. */
const LAST_STANDARD = 2;
/** O_CLOEXEC as Linux shows it (proc(5), fdinfo). */
const CLOSE_ON_EXEC = 0o2000000;

/**
 * In the place of a standard descriptor that is closed the runtime opens /dev/null, which takes everything. It marks it
 * close-on-exec, and no descriptor that a process was started with is.
 * @throws DecoderError IO
 */
export function requireOpen(fd: number, name: string): void {
  try {
    if (fd > LAST_STANDARD || !fstatSync(fd).isCharacterDevice()) return;
    const [, flags = "0"] = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1")) ?? [];
    if ((Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0) return;
  } catch (error) {
    // No /proc, so no telling.
    if (errnoOf(error) !== "EBADF") return;
  }
  throw new DecoderError("IO", `can't write ${name}: it is closed`);
}
