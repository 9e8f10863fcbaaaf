import { read, write } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { requireOpen, type Sink } from "./output.ts";

/**
 * Pipes for the interactive commands. The process still handles signals while it waits for the other side. The decoder uses
 * `Input` and `Output` instead, which block but are faster.
 */
const CHUNK_BYTES = 64 * 1024;
/** Wait between attempts on a non-blocking descriptor. */
const RETRY_MS = 5;

const readSome = promisify(read);
const writeSome = promisify(write);

/** Reads a descriptor to its end. @throws DecoderError IO */
export async function* readPipe(fd: number, name: string): AsyncGenerator<Uint8Array> {
  for (;;) {
    const buffer = new Uint8Array(CHUNK_BYTES);
    const { bytesRead } = await retrying(`can't read ${name}`, () =>
      readSome(fd, buffer, 0, buffer.length, null),
    );
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Writes to a descriptor. */
export class PipeOutput implements Sink {
  readonly #fd: number;
  readonly #name: string;

  /** @param name the output in messages: "standard output". @throws DecoderError IO when it was closed from the start */
  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
    requireOpen(fd, name);
  }

  /** Writes all of `bytes`. @throws DecoderError IO, with the cause EPIPE when the reader went away */
  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length; ) {
      const start = offset;
      const { bytesWritten } = await retrying(`can't write ${this.#name}`, () =>
        writeSome(this.#fd, bytes, start, bytes.length - start, null),
      );
      offset += bytesWritten;
    }
  }
}

/** Passes chunks through until the signal aborts, even while it waits for the next. @throws DecoderError INTERRUPTED */
export async function* stoppable(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  let giveUp = (): void => undefined;
  const stop = () => giveUp();
  signal?.addEventListener("abort", stop);
  const iterator = chunks[Symbol.asyncIterator]();
  try {
    for (;;) {
      // Races with one promise for all chunks would keep every chunk in memory until the signal aborts.
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        giveUp = () => reject(new DecoderError("INTERRUPTED", "interrupted"));
        if (signal?.aborted) giveUp();
        iterator.next().then(resolve, reject);
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    // This promise is not awaited, because the iterator may itself wait for a writer that never comes.
    iterator.return?.().catch(() => undefined);
  }
}

async function retrying<T>(what: string, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EAGAIN") await sleep(RETRY_MS);
      else if (errno !== "EINTR")
        throw new DecoderError("IO", `${what}: ${describeSystemError(error)}`, { cause: error });
    }
  }
}
