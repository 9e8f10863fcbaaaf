import { createHmac } from "node:crypto";
import { expect, onTestFinished, test, vi } from "vitest";
import { CHUNK_BYTES } from "../../../src/cipher/authenticator.ts";
import {
  abandon,
  CELL,
  newRing,
  RingConsumer,
  signal,
  slotOf,
  slotsOf,
} from "../../../src/cipher/chunk-ring.ts";

const KEY = new Uint8Array(32).fill(1);
const wait = Atomics.wait.bind(Atomics);
/** Longer than any wait here takes, unless it is for something that has been before. */
const TOO_LONG_MS = 2000;

/** Does something at the last moment before the consumer sleeps; what its sleep ends with is in the result. */
function beforeItSleeps(work: () => void) {
  const spy = vi.spyOn(Atomics, "wait").mockImplementationOnce((cells, cell, value) => {
    work();
    return wait(cells as unknown as Int32Array, cell, Number(value), TOO_LONG_MS);
  });
  onTestFinished(() => spy.mockRestore());
  return spy;
}

test("a consumer that is about to sleep hears that the layer is given up", () => {
  const ring = newRing(false);
  const sleeping = beforeItSleeps(() => abandon(new Int32Array(ring.control)));
  new RingConsumer(ring, KEY).run();
  expect(sleeping.mock.results.map(({ value }) => value)).toEqual(["not-equal"]);
});

test("a consumer that is about to sleep hears that there is more, and the end", () => {
  const ring = newRing(false);
  const control = new Int32Array(ring.control);
  const slot = slotOf(slotsOf(ring), 0).fill(7);
  beforeItSleeps(() => {
    control[CELL.LENGTHS] = CHUNK_BYTES;
    control[CELL.LENGTHS + 1] = 0;
    signal(control, CELL.PRODUCED, 2);
  });
  new RingConsumer(ring, KEY).run();
  const digest = createHmac("sha256", KEY).update(slot).digest();
  expect(Buffer.from(ring.digest).equals(digest)).toBe(true);
});
