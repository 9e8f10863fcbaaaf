import { Worker } from "node:worker_threads";

/** The thread's code, as text: a file of its own would have to be found again inside the executable. */
const READER = `
const { readSync } = require("node:fs");
const { fd, bytes, state } = require("node:worker_threads").workerData;
let length = 0;
for (;;) {
  try {
    const count = readSync(fd, bytes, length, bytes.length - length, null);
    length += count;
    if (count === 0 || length === bytes.length) break;
  } catch (error) {
    if (error.code !== "EAGAIN") break;
    Atomics.wait(state, 1, 0, 5);
  }
}
state[1] = length;
Atomics.store(state, 0, 1);
Atomics.notify(state, 0);
`;

/**
 * Reads a socket to its end, at most `limit` bytes; null when it does not end in time. A pipe can be opened again, to be read
 * without blocking. A socket can't, so another thread blocks on it.
 */
export function readSocket(fd: number, limit: number, timeoutMs: number): Uint8Array<ArrayBuffer> | null {
  const bytes = new Uint8Array(new SharedArrayBuffer(limit));
  const state = new Int32Array(new SharedArrayBuffer(8));
  new Worker(READER, { eval: true, workerData: { fd, bytes, state } }).unref();
  if (Atomics.wait(state, 0, 0, timeoutMs) === "timed-out") return null;
  return bytes.slice(0, state[1]);
}
