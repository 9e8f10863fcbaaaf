import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { CELL, type ChunkRing, OWNER, RingConsumer } from "./chunk-ring.ts";

/** What the thread behind {@link workerAuthenticator} starts with. */
export interface ChunkWork {
  readonly ring: ChunkRing;
  readonly key: Uint8Array;
  /** The descriptor that the plaintext goes to, if the thread also writes it. */
  readonly fd: number | undefined;
}

const FIRST_WAIT_MS = 0.05;
const LONGEST_WAIT_MS = 10;
const cell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes all of a chunk, as `Output` does. That class can't be imported here: what two entries of the build share becomes a file
 * of its own in the executable, which every layer would have to load.
 * @throws Error from the system
 */
function writeTo(fd: number, chunk: Uint8Array): void {
  let waitMs = FIRST_WAIT_MS;
  for (let offset = 0; offset < chunk.length; ) {
    try {
      offset += writeSync(fd, chunk, offset, chunk.length - offset);
      waitMs = FIRST_WAIT_MS;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EAGAIN" && code !== "EINTR") throw error;
      Atomics.wait(cell, 0, 0, waitMs);
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    }
  }
}

const { ring, key, fd } = workerData as ChunkWork;
const control = new Int32Array(ring.control);
if (Atomics.compareExchange(control, CELL.OWNER, OWNER.NOBODY, OWNER.WORKER) === OWNER.NOBODY) {
  const consumer = new RingConsumer(ring, key, fd === undefined ? undefined : (chunk) => writeTo(fd, chunk));
  key.fill(0);
  consumer.run();
}
