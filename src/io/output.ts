import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { files } from "../process/files.ts";
import { backOff } from "../process/runtime.ts";

/** Takes bytes in order. Callers wait for each `write` before the next. Then they overwrite or free the bytes. */
export interface Sink {
  write(bytes: Uint8Array): void | Promise<void>;
  /** Called once, after the last `write`. The sink has taken all bytes when it resolves. */
  finish?(): Promise<void>;
}

/** Writes the plaintext to a blocking or non-blocking descriptor. */
export class Output implements Sink {
  readonly fd: number;
  /** The output in messages: "standard output". */
  readonly name: string;

  /** @throws DecoderError IO when it was closed from the start */
  constructor(fd: number, name: string) {
    this.fd = fd;
    this.name = name;
    requireOpen(fd, name);
  }

  /** Writes all of `bytes`. @throws DecoderError IO, with the cause EPIPE when the reader went away */
  write(bytes: Uint8Array): void {
    try {
      writeFully(this.fd, bytes);
    } catch (error) {
      throw writeFailure(this.name, error);
    }
  }
}

/** Writes all of `bytes` to a blocking or non-blocking descriptor. @throws Error from the system */
export function writeFully(fd: number, bytes: Uint8Array): void {
  let waitedMs = 0;
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += files.writeSync(fd, bytes, offset, bytes.length - offset);
      waitedMs = 0;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EAGAIN") waitedMs = backOff(waitedMs);
      else if (errno !== "EINTR") throw error;
    }
  }
}

/** @param name the output that a system error kept from being written */
export function writeFailure(name: string, cause: unknown): DecoderError {
  return new DecoderError("IO", `can't write ${name}: ${describeSystemError(cause)}`, { cause });
}

/** stdin, stdout, stderr. */
const LAST_STANDARD = 2;
/** O_CLOEXEC as Linux shows it (proc(5), fdinfo). */
const CLOSE_ON_EXEC = 0o2000000;

/**
 * Refuses a standard descriptor that was closed at start. The runtime replaces it with /dev/null, which would swallow the
 * output. The replacement is marked close-on-exec; an inherited descriptor never is.
 * @throws DecoderError IO
 */
export function requireOpen(fd: number, name: string): void {
  try {
    if (fd > LAST_STANDARD || !files.fstatSync(fd).isCharacterDevice()) return;
    const [, flags = "0"] =
      /^flags:\s*(\d+)$/m.exec(files.readFileSync(`/proc/self/fdinfo/${fd}`, "latin1")) ?? [];
    if ((Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0) return;
  } catch (error) {
    // Without /proc, the two cases look the same.
    if (errnoOf(error) !== "EBADF") return;
  }
  throw new DecoderError("IO", `can't write ${name}: it is closed`);
}
