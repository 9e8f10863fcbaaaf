import { workerData } from "node:worker_threads";
import { writeFully } from "../io/output.ts";
import { CELL, type ChunkRing, OWNER, RingConsumer } from "./chunk-ring.ts";

/** What the thread behind {@link workerAuthenticator} starts with. */
export interface ChunkWork {
  readonly ring: ChunkRing;
  readonly key: Uint8Array;
  /** The descriptor that the plaintext goes to, if the thread also writes it. */
  readonly fd: number | undefined;
}

const { ring, key, fd } = workerData as ChunkWork;
const control = new Int32Array(ring.control);
if (Atomics.compareExchange(control, CELL.OWNER, OWNER.NOBODY, OWNER.WORKER) === OWNER.NOBODY) {
  const consumer = new RingConsumer(
    ring,
    key,
    fd === undefined ? undefined : (chunk) => writeFully(fd, chunk),
  );
  key.fill(0);
  consumer.run();
}
