import { read } from "node:fs";
import { open } from "node:fs/promises";
import { promisify } from "node:util";

const STDIN = 0;
const readFrom = promisify(read);
let isStdinRead = false;

/**
 * Reads a file that the user named: a regular file, a pipe such as a shell's `<(command)`, or "-" for standard input. The event
 * loop keeps running while a pipe's writer is slow.
 * @returns memory of its own, at most `maxBytes`
 * @throws Error from the system, or for a directory or larger input; `describeSystemError` describes each
 */
export async function readNamedFile(path: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (path === "-") {
    if (isStdinRead) throw new Error("standard input can be read only once");
    isStdinRead = true;
    return await readWhole(STDIN, maxBytes);
  }
  const file = await open(path, "r");
  try {
    if ((await file.stat()).isDirectory()) throw new Error("it is a directory");
    return await readWhole(file.fd, maxBytes);
  } finally {
    await file.close();
  }
}

async function readWhole(fd: number, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const buffer = new Uint8Array(maxBytes + 1);
  let length = 0;
  try {
    while (length < buffer.length) {
      const { bytesRead } = await readFrom(fd, buffer, length, buffer.length - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
    return buffer.slice(0, length);
  } finally {
    buffer.fill(0);
  }
}
