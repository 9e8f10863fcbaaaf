import { closeSync, constants, openSync, writeSync } from "node:fs";

/** O_NONBLOCK: a FIFO that nobody reads must fail rather than wait. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NONBLOCK ?? 0);
const MODE = 0o600;

/**
 * Adds a line to a file that others add lines to as well: with O_APPEND, one write is one piece (POSIX write(2)).
 * @throws Error of the system, or when not all of the line could be written
 */
export function appendLine(path: string, line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  const fd = openSync(path, FLAGS, MODE);
  try {
    if (writeSync(fd, bytes) !== bytes.length) throw new Error("only a part of the line could be written");
  } finally {
    closeSync(fd);
  }
}
