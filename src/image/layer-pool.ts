import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import { DecoderError, type ErrorCode } from "../errors.ts";
import { LAYER_WORKER } from "../process/runtime.ts";
import { startThread } from "../process/thread.ts";
import { sizeOf } from "../transport/blob.ts";
import { type RemoteWarning, showWarning } from "../transport/remote-clients.ts";
import type { LayerJob, LayerOutput } from "./layer-jobs.ts";

export type ToWorker = { readonly kind: "job"; readonly job: LayerJob } | { readonly kind: "end" };

export type FromWorker =
  | { readonly kind: "bytes"; readonly count: number }
  | ({ readonly kind: "warning" } & RemoteWarning)
  | { readonly kind: "done"; readonly output: LayerOutput }
  | {
      readonly kind: "failed";
      readonly code: ErrorCode | undefined;
      readonly message: string;
      readonly hint?: string;
    };

/** Each thread has some MiB of buffers and WebAssembly memory. The number of threads bounds memory, not the image. */
const MOST_THREADS = 16;

/** Starting a thread takes longer than a job on so few bytes. */
const SMALL_BYTES = 64 * 1024;
/** Small jobs that run at once. Each has an open file. */
const SMALL_AT_ONCE = 8;
/** The queue of large jobs that need no thread, after those of the small ones. */
const LARGE_LANE = SMALL_AT_ONCE;

/**
 * Works on layers, with as many threads as cores. They start with the first large jobs and end with `close`. A pool of one
 * starts none and uses its caller's thread: one job gains nothing from another thread, which costs its start and memory.
 */
export class LayerPool {
  readonly #size: number;
  readonly #threads: LayerThread[] = [];
  readonly #idle: LayerThread[] = [];
  readonly #waiting: ((thread: LayerThread) => void)[] = [];
  /** The ends of the queues of this thread's jobs. */
  readonly #lanes: Promise<unknown>[] = [];
  #smallJobs = 0;
  /** Shared with the threads, which read it between chunks. Terminating a thread from outside is not safe on every runtime. */
  readonly #stopped = new Int32Array(new SharedArrayBuffer(4));

  constructor(size = availableParallelism()) {
    this.#size = Math.min(Math.max(1, size), MOST_THREADS);
  }

  /** A pool for work on whole blobs, with at most one thread for each large blob. @param sizes in bytes */
  static forBlobs(sizes: readonly number[], threads?: number): LayerPool {
    const large = sizes.filter((size) => size > SMALL_BYTES).length;
    return new LayerPool(Math.min(threads ?? availableParallelism(), large));
  }

  /** The most large jobs that run at once. */
  get size(): number {
    return this.#size;
  }

  /** Runs a job on the next free thread, or here. @throws what `runJob` throws; DecoderError INTERRUPTED after `close` */
  async run(job: LayerJob, onBytes: (count: number) => void): Promise<LayerOutput> {
    const small = isSmall(job);
    if (small || this.#size === 1) {
      const lane = small ? this.#smallJobs++ % SMALL_AT_ONCE : LARGE_LANE;
      return await this.#runHere(job, onBytes, lane);
    }
    const thread = await this.#acquire();
    try {
      if (this.#isClosed) throw interrupted();
      return await thread.run(job, onBytes);
    } finally {
      this.#release(thread);
    }
  }

  /** Ends the threads and the jobs under way. Waiting jobs do not start. */
  async close(): Promise<void> {
    Atomics.store(this.#stopped, 0, 1);
    await Promise.all([...this.#threads.map((thread) => thread.end()), ...this.#lanes]);
  }

  /** Runs a job on this thread. Several small ones run at once, so that the disk syncs their files together. */
  async #runHere(job: LayerJob, onBytes: (count: number) => void, lane: number): Promise<LayerOutput> {
    if (this.#isClosed) throw interrupted();
    const output = (this.#lanes[lane] ?? Promise.resolve()).then(() => this.#work(job, onBytes));
    this.#lanes[lane] = output.catch(() => undefined);
    return await output;
  }

  /** Like a thread, works on a copy of the job, and zeroes the copy's key. */
  async #work(job: LayerJob, onBytes: (count: number) => void): Promise<LayerOutput> {
    if (this.#isClosed) throw interrupted();
    const { runJob } = await import("./layer-jobs.ts");
    const copy = structuredClone(job, { transfer: given(job) });
    try {
      return await runJob(copy, (count) => {
        if (this.#isClosed) throw interrupted();
        onBytes(count);
      });
    } finally {
      if ("options" in copy) copy.options.key.fill(0);
    }
  }

  get #isClosed(): boolean {
    return Atomics.load(this.#stopped, 0) !== 0;
  }

  #acquire(): LayerThread | Promise<LayerThread> {
    if (this.#isClosed) throw interrupted();
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#threads.length < this.#size) {
      const thread = new LayerThread(this.#stopped);
      this.#threads.push(thread);
      return thread;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #release(thread: LayerThread): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(thread);
    else next(thread);
  }
}

/** One thread, which does one job at a time. */
class LayerThread {
  readonly #worker: Worker;
  readonly #ended = Promise.withResolvers<void>();
  #onBytes: (count: number) => void = () => undefined;
  #answer = Promise.withResolvers<LayerOutput>();
  #failure: unknown;

  constructor(stopped: Int32Array) {
    this.#worker = startThread(LAYER_WORKER, stopped);
    this.#worker.on("message", (message: FromWorker) => this.#receive(message));
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", () => {
      this.#fail(interrupted());
      this.#ended.resolve();
    });
    this.#answer.promise.catch(() => undefined);
  }

  async run(job: LayerJob, onBytes: (count: number) => void): Promise<LayerOutput> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#onBytes = onBytes;
    this.#answer = Promise.withResolvers();
    this.#post({ kind: "job", job });
    return await this.#answer.promise;
  }

  async end(): Promise<void> {
    this.#post({ kind: "end" });
    await this.#ended.promise;
  }

  /** Fails this job and all later ones: the thread is gone. */
  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#answer.reject(error);
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message, message.kind === "job" ? given(message.job) : []);
  }

  #receive(message: FromWorker): void {
    if (message.kind === "bytes") this.#onBytes(message.count);
    else if (message.kind === "warning") showWarning(message);
    else if (message.kind === "done") this.#answer.resolve(message.output);
    else this.#answer.reject(failure(message));
  }
}

/** Whether a job takes little work. Decompression can turn few bytes into many. */
function isSmall(job: LayerJob): boolean {
  if (job.kind === "compress") return job.block.length <= SMALL_BYTES;
  if (job.kind === "verify") return false;
  if (job.kind === "encrypt" && job.recompress.from !== job.recompress.to && job.recompress.from !== "none")
    return false;
  return sizeOf(job.location) <= SMALL_BYTES;
}

/** Blocks change hands: with copies, compressing took a third more processor time. */
function given(job: LayerJob): ArrayBuffer[] {
  return job.kind === "compress" ? [job.block.buffer] : [];
}

function interrupted(): DecoderError {
  return new DecoderError("INTERRUPTED", "interrupted");
}

function failure({ code, message, hint }: Extract<FromWorker, { kind: "failed" }>): Error {
  return code === undefined
    ? new Error(message)
    : new DecoderError(code, message, hint === undefined ? {} : { hint });
}
