import { fstatSync, type Stats } from "node:fs";
import { Output } from "../io/output.ts";

const NAMES = { 1: "standard output", 2: "standard error" } as const;

/**
 * Standard output or error, for what people read. process.stdout and process.stderr load Node's sockets, which takes longer
 * than most commands, so they are used for terminals only.
 */
export class StandardStream {
  readonly #descriptor: keyof typeof NAMES;
  readonly #terminal: NodeJS.WriteStream | undefined;

  constructor(descriptor: keyof typeof NAMES) {
    this.#descriptor = descriptor;
    if (!mayBeTerminal(fstatSync(descriptor))) return;
    const stream = descriptor === 1 ? process.stdout : process.stderr;
    this.#terminal = stream.isTTY ? stream : undefined;
  }

  get isTTY(): boolean {
    return this.#terminal !== undefined;
  }

  get isStandardError(): boolean {
    return this.#descriptor === 2;
  }

  /** Characters in a line of the terminal; undefined if it is none, or reports none. */
  get columns(): number | undefined {
    return this.#terminal?.columns || undefined;
  }

  /** Writes progress. A failure is ignored, because the work must not end when the reader does. */
  show(text: string): void {
    try {
      this.write(text);
    } catch {
      // The reader went away, or the disk of a log is full.
    }
  }

  /** @throws DecoderError IO, with the cause EPIPE when the reader went away */
  write(text: string): void {
    new Output(this.#descriptor, NAMES[this.#descriptor]).write(Buffer.from(text));
  }
}

/** Linux's major number of /dev/null, /dev/full and other memory devices (admin-guide/devices.txt). */
const MEMORY_DEVICES = 1;

/** Rules out most files without loading the runtime's streams, which know whether a file is a terminal. */
function mayBeTerminal(file: Stats): boolean {
  // gnu_dev_major(3) has more bits, which no terminal's number uses.
  const isMemory = process.platform === "linux" && file.rdev >>> 8 === MEMORY_DEVICES;
  return file.isCharacterDevice() && !isMemory;
}
