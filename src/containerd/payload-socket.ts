import { Worker } from "node:worker_threads";

/** As text: a file of its own would have to be found again inside the executable. */
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
 * All that comes from a socket, at most `limit` bytes, or null when it does not end in time. A pipe can be opened once more
 * to be read without blocking; to give up on a socket, another thread has to be the one that is blocked.
 */
export function readSocket(fd: number, limit: number, timeoutMs: number): Uint8Array<ArrayBuffer> | null {
  const bytes = new Uint8Array(new SharedArrayBuffer(limit));
  const state = new Int32Array(new SharedArrayBuffer(8));
  new Worker(READER, { eval: true, workerData: { fd, bytes, state } }).unref();
  if (Atomics.wait(state, 0, 0, timeoutMs) === "timed-out") return null;
  return bytes.slice(0, state[1]);
}
