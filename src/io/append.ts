import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { openRegularFile } from "./file.ts";

/** O_NONBLOCK makes opening a FIFO without a reader fail instead of wait. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NONBLOCK ?? 0);
const MODE = 0o600;
const LINE_FEED = 0x0a;

/**
 * Appends a line to a file that other processes also append to. With O_APPEND, each write is atomic (POSIX write(2)). A full
 * disk may have cut the last line short. That line is ended first, so that the new one stays separate.
 * @throws Error from the system, or when only a part of the line could be written
 */
export function appendLine(path: string, line: string): void {
  const fd = openSync(path, FLAGS, MODE);
  try {
    const bytes = Buffer.from(`${isLastLineCut(path) ? "\n" : ""}${line}\n`);
    if (writeSync(fd, bytes) !== bytes.length) throw new Error("only a part of the line could be written");
  } finally {
    closeSync(fd);
  }
}

function isLastLineCut(path: string): boolean {
  let reader: number | undefined;
  try {
    const { fd, size } = openRegularFile(path);
    reader = fd;
    // At position -1, readSync reads from the start, where another process may have written a line meanwhile.
    if (size === 0) return false;
    const last = new Uint8Array(1);
    return readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== LINE_FEED;
  } catch {
    // A FIFO has no last line. A log that this user may write but not read is assumed to end with a whole one.
    return false;
  } finally {
    if (reader !== undefined) closeSync(reader);
  }
}
