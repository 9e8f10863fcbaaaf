import { Worker } from "node:worker_threads";
import { DecoderError } from "../errors.ts";
import type { Secret } from "../secret.ts";
import type { Authenticator } from "./authenticator.ts";
import { abandon, CELL, newRing, OWNER, RingConsumer, SLOTS, signal, slotOf, slotsOf } from "./hmac-ring.ts";

/** Wait for a worker to start. If it does not (no memory, no thread), the caller computes. */
const START_MS = 2000;
/** A started worker that makes no progress for this long has died. */
const STALL_MS = 60_000;

/** The executable bundles all parts in one folder, but the worker, which is started by name, keeps its path. */
const WORKER_URL = new URL(
  import.meta.url.endsWith(".ts") ? "./hmac-worker.ts" : "./cipher/hmac-worker.js",
  import.meta.url,
);

/** Computes on a thread of its own. The thread takes milliseconds to start, so it suits only large layers. */
export function workerAuthenticator(key: Secret, withSha256 = false): Authenticator {
  const ring = newRing(withSha256);
  const control = new Int32Array(ring.control);
  const slots = slotsOf(ring);
  const worker = new Worker(WORKER_URL, { workerData: { ring, key: key.bytes } });
  worker.on("error", () => {}); // shows as a worker that never begins
  worker.unref();
  let produced = 0;
  let own: RingConsumer | undefined;

  function waitFor(cell: number, done: (value: number) => boolean): void {
    for (let value = Atomics.load(control, cell); !done(value); value = Atomics.load(control, cell)) {
      if (own !== undefined) {
        own.drain();
        continue;
      }
      const begun = Atomics.load(control, CELL.OWNER) === OWNER.WORKER;
      if (Atomics.wait(control, cell, value, begun ? STALL_MS : START_MS) !== "timed-out") continue;
      if (begun) throw new DecoderError("IO", "the thread that authenticates the layer has stopped");
      if (Atomics.compareExchange(control, CELL.OWNER, OWNER.NOBODY, OWNER.CALLER) === OWNER.NOBODY) {
        own = new RingConsumer(ring, key.bytes);
      }
    }
  }

  function waitForSlot(): void {
    waitFor(CELL.CONSUMED, (consumed) => produced - consumed < SLOTS);
  }

  function push(length: number): void {
    Atomics.store(control, CELL.LENGTHS + (produced % SLOTS), length);
    produced++;
    signal(control, CELL.PRODUCED, produced);
  }

  return {
    buffer: () => {
      waitForSlot();
      return slotOf(slots, produced);
    },
    push,
    digest: () => {
      waitForSlot();
      push(0);
      waitFor(CELL.FINISHED, (finished) => finished === 1);
      return new Uint8Array(ring.digest);
    },
    close: () => abandon(control),
  };
}
