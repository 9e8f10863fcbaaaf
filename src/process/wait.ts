/**
 * Waiting inside synchronous code: on a non-blocking descriptor a read or write answers EAGAIN, and neither runtime
 * offers poll(2). Sleeps grow from 50 µs to 10 ms, so that a busy pipe is served at once and an idle one costs nothing.
 */
const FIRST_MS = 0.05;
const LONGEST_MS = 10;

export class Backoff {
  #cell: Int32Array | undefined;
  #next = FIRST_MS;

  sleep(): void {
    this.#cell ??= new Int32Array(new SharedArrayBuffer(4));
    Atomics.wait(this.#cell, 0, 0, this.#next);
    this.#next = Math.min(this.#next * 2, LONGEST_MS);
  }

  reset(): void {
    this.#next = FIRST_MS;
  }
}
