import { DecoderError } from "../errors.ts";
import { type Output, type Sink, writeFailure } from "../io/output.ts";
import { CHUNK_WORKER } from "../process/runtime.ts";
import { systemError } from "../process/system-error.ts";
import { startThread } from "../process/thread.ts";
import type { Secret } from "../secret.ts";
import type { Authenticator } from "./authenticator.ts";
import {
  abandon,
  CELL,
  newRing,
  OWNER,
  RingConsumer,
  SLOTS,
  STAGE,
  signal,
  slotOf,
  slotsOf,
} from "./chunk-ring.ts";
import type { ChunkWork } from "./chunk-worker.ts";

/** Wait for a worker to start. If it does not (no memory, no thread), the caller computes. */
const START_MS = 2000;
/** A started worker that hashes nothing for this long has died. */
const STALL_MS = 60_000;

interface WorkerOptions {
  readonly withSha256?: boolean;
  /** What the plaintext will be written to. */
  readonly output?: Output;
}

/** Computes on a thread of its own. The thread takes milliseconds to start, so it suits only large layers. */
export function workerAuthenticator(
  key: Secret,
  { withSha256 = false, output }: WorkerOptions,
): Authenticator {
  const ring = newRing(withSha256);
  const control = new Int32Array(ring.control);
  const slots = slotsOf(ring);
  const work: ChunkWork = { ring, key: key.bytes, fd: output?.fd };
  const worker = startThread(CHUNK_WORKER, work);
  worker.on("error", () => {}); // shows as a worker that never begins
  worker.unref();
  let produced = 0;
  let own: RingConsumer | undefined;

  function waitFor(cell: number, done: (value: number) => boolean, stallMs = STALL_MS): void {
    for (let value = Atomics.load(control, cell); !done(value); value = Atomics.load(control, cell)) {
      if (own !== undefined) {
        own.drain();
        continue;
      }
      const begun = Atomics.load(control, CELL.OWNER) === OWNER.WORKER;
      if (Atomics.wait(control, cell, value, begun ? stallMs : START_MS) !== "timed-out") continue;
      if (begun) throw stopped();
      if (Atomics.compareExchange(control, CELL.OWNER, OWNER.NOBODY, OWNER.CALLER) === OWNER.NOBODY) {
        own = new RingConsumer(ring, key.bytes);
      }
    }
  }

  function waitForSlot(stallMs?: number): void {
    waitFor(CELL.CONSUMED, (consumed) => produced - consumed < SLOTS, stallMs);
  }

  function push(length: number): void {
    Atomics.store(control, CELL.LENGTHS + (produced % SLOTS), length);
    produced++;
    signal(control, CELL.PRODUCED, produced);
  }

  /** Waits as long as the reader of the output takes. @throws DecoderError IO when a write failed */
  function waitToWrite({ name }: Output): void {
    waitForSlot(Number.POSITIVE_INFINITY);
    if (Atomics.load(control, CELL.STAGE) !== STAGE.FAILED) return;
    throw writeFailure(name, systemError(Atomics.load(control, CELL.ERRNO)));
  }

  /** Copies the bytes into the ring, and the second thread writes them. */
  function writerTo(output: Output): Sink {
    return {
      write: (bytes) => {
        waitToWrite(output);
        slotOf(slots, produced).set(bytes);
        push(bytes.length);
      },
      finish: async () => {
        waitToWrite(output);
        push(0);
        waitFor(CELL.STAGE, (stage) => stage !== STAGE.HASHED, Number.POSITIVE_INFINITY);
        waitToWrite(output);
      },
    };
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
      waitFor(CELL.STAGE, (stage) => stage !== STAGE.NONE);
      if (Atomics.load(control, CELL.STAGE) === STAGE.FAILED) throw stopped();
      return new Uint8Array(ring.digest);
    },
    writer: () => (own === undefined && output !== undefined ? writerTo(output) : undefined),
    close: () => abandon(control),
  };
}

function stopped(): DecoderError {
  return new DecoderError("IO", "the thread that authenticates the layer has stopped");
}
