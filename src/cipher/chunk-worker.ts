import { workerData } from "node:worker_threads";
import { Output } from "../io/output.ts";
import { CELL, type ChunkRing, OWNER, RingConsumer } from "./chunk-ring.ts";

/** What the thread behind {@link workerAuthenticator} starts with. */
export interface ChunkWork {
  readonly ring: ChunkRing;
  readonly key: Uint8Array;
  /** Where the plaintext goes, if the thread also writes it. */
  readonly output: { readonly fd: number; readonly name: string } | undefined;
}

const { ring, key, output } = workerData as ChunkWork;
const control = new Int32Array(ring.control);
if (Atomics.compareExchange(control, CELL.OWNER, OWNER.NOBODY, OWNER.WORKER) === OWNER.NOBODY) {
  const consumer = new RingConsumer(ring, key, output && new Output(output.fd, output.name));
  key.fill(0);
  consumer.run();
}
