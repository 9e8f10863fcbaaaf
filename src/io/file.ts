import { constants, files } from "../process/files.ts";

/** node:path's `sep`. Each layer would pay for loading that module. */
export const SEPARATOR = process.platform === "win32" ? "\\" : "/";

/** O_NONBLOCK, because opening a FIFO would otherwise wait for a writer. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

/**
 * Opens a regular file for reading. `size` is its current size in bytes.
 * @throws Error from the system, or for another kind of file; `describeSystemError` describes both
 */
export function openRegularFile(path: string): { readonly fd: number; readonly size: number } {
  const fd = files.openSync(path, OPEN_FLAGS);
  try {
    const stat = files.fstatSync(fd);
    if (stat.isDirectory()) throw new Error("it is a directory");
    if (!stat.isFile()) throw new Error("it is not a regular file");
    return { fd, size: stat.size };
  } catch (error) {
    files.closeSync(fd);
    throw error;
  }
}

/**
 * Reads a whole regular file into memory of its own.
 * @throws Error from the system, for another kind of file, or for one above the limit; `describeSystemError` describes each
 */
export function readSmallFile(path: string, maxBytes: number): Uint8Array<ArrayBuffer> {
  const { fd, size } = openRegularFile(path);
  try {
    if (size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
    const bytes = new Uint8Array(size);
    const length = readFully(fd, bytes, 0);
    return length === bytes.length ? bytes : bytes.slice(0, length);
  } finally {
    files.closeSync(fd);
  }
}

/**
 * Fills `buffer` from a position in a file, or from the descriptor's own offset if `position` is null.
 * @returns the number of bytes, fewer than the buffer holds only at the end of the file
 * @throws Error from the system
 */
export function readFully(fd: number, buffer: Uint8Array, position: number | null): number {
  let length = 0;
  while (length < buffer.length) {
    const at = position === null ? null : position + length;
    const count = files.readSync(fd, buffer, length, buffer.length - length, at);
    if (count === 0) break;
    length += count;
  }
  return length;
}

const CHUNK_BYTES = 256 * 1024;

/**
 * Passes a whole regular file to `use`, piece by piece. Each piece overwrites the one before it. Loading Node's streams would
 * double the run time of a short command.
 * @throws Error from the system, or for another kind of file; `describeSystemError` describes both
 */
export function readPieces(path: string, use: (piece: Uint8Array) => void): void {
  const { fd } = openRegularFile(path);
  try {
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (let length = readFully(fd, buffer, null); length > 0; length = readFully(fd, buffer, null))
      use(buffer.subarray(0, length));
  } finally {
    files.closeSync(fd);
  }
}
