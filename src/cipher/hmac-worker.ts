import { workerData } from "node:worker_threads";
import { CELL, type HmacRing, OWNER, RingConsumer } from "./hmac-ring.ts";

/** The thread behind {@link workerAuthenticator}. */
const { ring, key } = workerData as { ring: HmacRing; key: Uint8Array };
const control = new Int32Array(ring.control);
if (Atomics.compareExchange(control, CELL.OWNER, OWNER.NOBODY, OWNER.WORKER) === OWNER.NOBODY) {
  const consumer = new RingConsumer(ring, key);
  key.fill(0);
  consumer.run();
}
