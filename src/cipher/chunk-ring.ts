import { CHUNK_BYTES, CiphertextHasher, firstOf, HASH_BYTES } from "./authenticator.ts";

/**
 * A ring of chunks in memory that two threads share: the first fills it, the second empties it. The chunks are ciphertext at
 * first. The second thread computes its HMAC, while the first does its own work on them. SHA-256 takes most of the time of a large
 * layer, so a second processor nearly halves it. Later the chunks may be plaintext, which the second thread writes.
 */
export interface ChunkRing {
  readonly chunks: SharedArrayBuffer;
  /** Int32 cells: those of {@link CELL}, then the length of each slot. */
  readonly control: SharedArrayBuffer;
  /** Where {@link CiphertextHasher.digest} goes. */
  readonly digest: SharedArrayBuffer;
  readonly withSha256: boolean;
}

export const SLOTS = 16;
/** Slots that are taken out at once at most. Freeing them together wakes the filling thread less often. */
const BATCH = SLOTS / 2;

/** ERRNO is the system's negative number for a failed write. */
export const CELL = { PRODUCED: 0, CONSUMED: 1, OWNER: 2, STAGE: 3, ERRNO: 4, LENGTHS: 5 } as const;

/** Which thread takes the chunks out. A worker that starts after the filling thread gave up on it must not. */
export const OWNER = { NOBODY: 0, WORKER: 1, CALLER: 2 } as const;

/** What has been done with all chunks. Only a consumer that writes reaches WRITTEN. */
export const STAGE = { NONE: 0, HASHED: 1, WRITTEN: 2, FAILED: 3 } as const;

/** The slot length that ends a stage. */
const END = 0;
/** The value of PRODUCED once the layer is abandoned. */
const ABANDONED = -1;
/** The value of CONSUMED after a failure. The filling thread then stops waiting for slots. */
const ALL = 2 ** 31 - 1;
/** EIO, for a failure without a number. */
const UNKNOWN_ERRNO = -5;

export function newRing(withSha256: boolean): ChunkRing {
  return {
    chunks: new SharedArrayBuffer(SLOTS * CHUNK_BYTES),
    control: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * (CELL.LENGTHS + SLOTS)),
    digest: new SharedArrayBuffer(withSha256 ? 2 * HASH_BYTES : HASH_BYTES),
    withSha256,
  };
}

/** The ring's slots, which are filled and emptied alternately. */
export function slotsOf({ chunks }: ChunkRing): Uint8Array[] {
  return Array.from({ length: SLOTS }, (_, i) => new Uint8Array(chunks, i * CHUNK_BYTES, CHUNK_BYTES));
}

export function slotOf(slots: readonly Uint8Array[], index: number): Uint8Array {
  const slot = slots[index % SLOTS];
  if (slot === undefined) throw new Error("bug: a ring without slots");
  return slot;
}

/** The side that takes chunks out. */
export class RingConsumer {
  readonly #ring: ChunkRing;
  readonly #control: Int32Array;
  readonly #views = new Map<number, Uint8Array>();
  readonly #hasher: CiphertextHasher;
  readonly #write: ((plaintext: Uint8Array) => void) | undefined;
  #consumed = 0;
  #isHashed = false;

  /** @param write takes the plaintext that follows the ciphertext; undefined if none follows */
  constructor(ring: ChunkRing, key: Uint8Array, write?: (plaintext: Uint8Array) => void) {
    this.#ring = ring;
    this.#control = new Int32Array(ring.control);
    this.#hasher = new CiphertextHasher(key, ring.withSha256);
    this.#write = write;
  }

  /** Takes out all filled slots. Returns true when there will be no more. @throws as `write` does */
  drain(): boolean {
    let isDone = false;
    for (let filled = this.#filled(); !isDone && filled > 0; filled = this.#filled()) {
      const first = this.#consumed % SLOTS;
      const slots = this.#batch(first, Math.min(filled, BATCH, SLOTS - first));
      const bytes = (slots - 1) * CHUNK_BYTES + this.#lengthOf(first + slots - 1);
      if (bytes === END) isDone = this.#endStage();
      else this.#use(firstOf(this.#viewOf(first, slots), bytes));
      this.#consumed += slots;
      signal(this.#control, CELL.CONSUMED, this.#consumed);
    }
    return isDone;
  }

  #filled(): number {
    return Atomics.load(this.#control, CELL.PRODUCED) - this.#consumed;
  }

  /** Counts the slots to take out together. A partly filled slot ends the batch. The end of a stage is a batch of its own. */
  #batch(first: number, most: number): number {
    let slots = 1;
    while (
      slots < most &&
      this.#lengthOf(first + slots - 1) === CHUNK_BYTES &&
      this.#lengthOf(first + slots) !== END
    )
      slots++;
    return slots;
  }

  #lengthOf(slot: number): number {
    return Atomics.load(this.#control, CELL.LENGTHS + slot);
  }

  /** Views are kept and used again. New ones would take memory until the thread's next garbage collection. */
  #viewOf(first: number, slots: number): Uint8Array {
    const place = first * SLOTS + slots;
    const view =
      this.#views.get(place) ?? new Uint8Array(this.#ring.chunks, first * CHUNK_BYTES, slots * CHUNK_BYTES);
    this.#views.set(place, view);
    return view;
  }

  /** Drains until the layer ends or the other side gives up. Sleeps while the ring is empty. */
  run(): void {
    try {
      while (Atomics.load(this.#control, CELL.PRODUCED) !== ABANDONED && !this.drain()) {
        Atomics.wait(this.#control, CELL.PRODUCED, this.#consumed);
      }
    } catch (error) {
      Atomics.store(this.#control, CELL.ERRNO, errorNumber(error));
      signal(this.#control, CELL.STAGE, STAGE.FAILED);
      signal(this.#control, CELL.CONSUMED, ALL);
    }
  }

  #use(chunk: Uint8Array): void {
    if (this.#isHashed) this.#write?.(chunk);
    else this.#hasher.update(chunk);
  }

  #endStage(): boolean {
    if (this.#isHashed) {
      signal(this.#control, CELL.STAGE, STAGE.WRITTEN);
      return true;
    }
    this.#isHashed = true;
    new Uint8Array(this.#ring.digest).set(this.#hasher.digest());
    signal(this.#control, CELL.STAGE, STAGE.HASHED);
    return this.#write === undefined;
  }
}

/** The number of the system error behind a failed write. */
function errorNumber(error: unknown): number {
  return error instanceof Error && "errno" in error && typeof error.errno === "number"
    ? error.errno
    : UNKNOWN_ERRNO;
}

/** Ends `run`. The signal uses the cell that the consumer sleeps on, since a consumer about to sleep would miss another. */
export function abandon(control: Int32Array): void {
  signal(control, CELL.PRODUCED, ABANDONED);
}

export function signal(control: Int32Array, cell: number, value: number): void {
  Atomics.store(control, cell, value);
  Atomics.notify(control, cell);
}
