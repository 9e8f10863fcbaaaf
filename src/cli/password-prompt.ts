import { constants, openSync, read, writeSync } from "node:fs";
import { ReadStream } from "node:tty";
import { promisify } from "node:util";
import { DecoderError } from "../errors.ts";
import { Secret } from "../secret.ts";
import { reportInterruption } from "./ui.ts";

/** Longer passwords come from files. */
const MOST_BYTES = 1024;

const readFrom = promisify(read);

/** This process's group in kill(2). A terminal signals the whole group. */
const OWN_GROUP = 0;

/** Control characters of keys. In raw mode the terminal neither edits the line nor sends signals. */
const KEY = {
  interrupt: 0x03,
  end: 0x04,
  backspace: 0x08,
  lineFeed: 0x0a,
  enter: 0x0d,
  kill: 0x15,
  quit: 0x1c,
  delete: 0x7f,
} as const;

/**
 * Asks for a password on the controlling terminal, without echo. Standard input and output may be pipes. Ctrl-C ends the
 * process by SIGINT, as on a terminal that is not in raw mode.
 * @param question shown before the cursor: "password for node.pem: "
 * @returns undefined if the process has no terminal
 * @throws DecoderError USAGE
 */
export async function askPassword(question: string): Promise<Secret | undefined> {
  let fd: number;
  try {
    fd = openSync("/dev/tty", constants.O_RDWR | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
  try {
    return await typedPassword(fd, question);
  } catch (error) {
    if (error instanceof DecoderError && error.code === "INTERRUPTED") {
      // A password is asked for before any work begins.
      reportInterruption("interrupted; nothing was changed");
      process.kill(OWN_GROUP, "SIGINT");
    }
    throw error;
  }
}

/** @param fd of the terminal, closed afterwards. @throws DecoderError INTERRUPTED, USAGE */
async function typedPassword(fd: number, question: string): Promise<Secret> {
  // The stream only sets the terminal's mode. Reading from it would take more than the line.
  const terminal = new ReadStream(fd);
  const line = new PasswordLine();
  const keys = new Uint8Array(MOST_BYTES);
  try {
    terminal.setRawMode(true);
    writeSync(fd, question);
    for (let isDone = false; !isDone; ) {
      const { bytesRead } = await readFrom(fd, keys, 0, keys.length, null);
      isDone = bytesRead === 0 || line.type(keys.subarray(0, bytesRead));
    }
    return line.take();
  } finally {
    keys.fill(0);
    line.clear();
    terminal.setRawMode(false);
    writeSync(fd, "\n");
    terminal.destroy();
  }
}

/** Asks twice, because the terminal does not show the password. @throws DecoderError USAGE if the two differ; as askPassword */
export async function askNewPassword(question: string): Promise<Secret | undefined> {
  const first = await askPassword(question);
  if (first === undefined) return undefined;
  const second = await askPassword("the same password again: ");
  try {
    if (second !== undefined && Buffer.compare(first.bytes, second.bytes) === 0) return first;
  } finally {
    second?.destroy();
  }
  first.destroy();
  throw new DecoderError("USAGE", "the two passwords differ");
}

/** A line that is typed in raw mode. */
class PasswordLine {
  readonly #bytes = new Uint8Array(MOST_BYTES);
  #length = 0;

  /** Takes what was typed. @returns whether the line is complete. @throws DecoderError INTERRUPTED, USAGE */
  type(keys: Uint8Array): boolean {
    for (const key of keys) {
      if (key === KEY.end && this.#length === 0) throw new DecoderError("USAGE", "no password was typed");
      if (key === KEY.enter || key === KEY.lineFeed || key === KEY.end) return true;
      if (key === KEY.interrupt || key === KEY.quit) throw new DecoderError("INTERRUPTED", "interrupted");
      if (key === KEY.kill) this.clear();
      else if (key === KEY.backspace || key === KEY.delete) this.#eraseCharacter();
      else if (this.#length < MOST_BYTES) this.#bytes[this.#length++] = key;
      else throw new DecoderError("USAGE", `a typed password has at most ${MOST_BYTES} bytes`);
    }
    return false;
  }

  take(): Secret {
    return new Secret(this.#bytes.slice(0, this.#length));
  }

  clear(): void {
    this.#bytes.fill(0);
    this.#length = 0;
  }

  /** A character of UTF-8 is a first byte and its continuation bytes, 10xxxxxx (RFC 3629 §3). */
  #eraseCharacter(): void {
    while (this.#length > 0) {
      const last = this.#bytes[--this.#length] ?? 0;
      this.#bytes[this.#length] = 0;
      if ((last & 0xc0) !== 0x80) return;
    }
  }
}
