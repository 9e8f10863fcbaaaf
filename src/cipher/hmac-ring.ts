import { CHUNK_BYTES, CiphertextHasher, firstOf, HASH_BYTES } from "./authenticator.ts";

/**
 * A ring of chunks in memory that two threads share: one fills it and goes on with its own work on the chunks, the other
 * computes the HMAC. SHA-256 takes most of the time of a large layer, so a second processor nearly halves it.
 */
export interface HmacRing {
  readonly chunks: SharedArrayBuffer;
  /** Int32 cells: those of {@link CELL}, then the length of each slot. */
  readonly control: SharedArrayBuffer;
  /** Where {@link CiphertextHasher.digest} goes. */
  readonly digest: SharedArrayBuffer;
  readonly withSha256: boolean;
}

export const SLOTS = 16;

export const CELL = { PRODUCED: 0, CONSUMED: 1, OWNER: 2, FINISHED: 3, LENGTHS: 4 } as const;

/** Which thread computes. A worker that starts after the filling thread gave up on it must not compute. */
export const OWNER = { NOBODY: 0, WORKER: 1, CALLER: 2 } as const;

/** The slot length that marks the end of the layer. */
const END = 0;
/** The value of PRODUCED once the layer is abandoned. */
const ABANDONED = -1;

export function newRing(withSha256: boolean): HmacRing {
  return {
    chunks: new SharedArrayBuffer(SLOTS * CHUNK_BYTES),
    control: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * (CELL.LENGTHS + SLOTS)),
    digest: new SharedArrayBuffer(withSha256 ? 2 * HASH_BYTES : HASH_BYTES),
    withSha256,
  };
}

/** The ring's slots, which are filled and emptied alternately. */
export function slotsOf({ chunks }: HmacRing): Uint8Array[] {
  return Array.from({ length: SLOTS }, (_, i) => new Uint8Array(chunks, i * CHUNK_BYTES, CHUNK_BYTES));
}

export function slotOf(slots: readonly Uint8Array[], index: number): Uint8Array {
  const slot = slots[index % SLOTS];
  if (slot === undefined) throw new Error("bug: a ring without slots");
  return slot;
}

/** The side that takes chunks out and computes. */
export class RingConsumer {
  readonly #ring: HmacRing;
  readonly #control: Int32Array;
  readonly #slots: readonly Uint8Array[];
  readonly #hasher: CiphertextHasher;
  #consumed = 0;

  constructor(ring: HmacRing, key: Uint8Array) {
    this.#ring = ring;
    this.#control = new Int32Array(ring.control);
    this.#slots = slotsOf(ring);
    this.#hasher = new CiphertextHasher(key, ring.withSha256);
  }

  /** Takes in all filled slots. Returns true once the layer has ended and the ring holds the digest. */
  drain(): boolean {
    for (; this.#consumed < Atomics.load(this.#control, CELL.PRODUCED); this.#consumed++) {
      const length = Atomics.load(this.#control, CELL.LENGTHS + (this.#consumed % SLOTS));
      if (length === END) {
        new Uint8Array(this.#ring.digest).set(this.#hasher.digest());
        signal(this.#control, CELL.FINISHED, 1);
        return true;
      }
      this.#hasher.update(firstOf(slotOf(this.#slots, this.#consumed), length));
      signal(this.#control, CELL.CONSUMED, this.#consumed + 1);
    }
    return false;
  }

  /** Drains until the layer ends or the other side gives up. Sleeps while the ring is empty. */
  run(): void {
    while (Atomics.load(this.#control, CELL.PRODUCED) !== ABANDONED && !this.drain()) {
      Atomics.wait(this.#control, CELL.PRODUCED, this.#consumed);
    }
  }
}

/** Ends `run`. The signal uses the cell that the consumer sleeps on, since a consumer about to sleep would miss another. */
export function abandon(control: Int32Array): void {
  signal(control, CELL.PRODUCED, ABANDONED);
}

export function signal(control: Int32Array, cell: number, value: number): void {
  Atomics.store(control, cell, value);
  Atomics.notify(control, cell);
}
