import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { DecoderError, type ErrorCode } from "../errors.ts";
import { IS_COMPILED } from "../io/compiled.ts";
import type { LayerJob, LayerOutput } from "./layer-jobs.ts";

export type FromWorker =
  | { readonly kind: "bytes"; readonly count: number }
  | { readonly kind: "done"; readonly output: LayerOutput }
  | {
      readonly kind: "failed";
      readonly code: ErrorCode | undefined;
      readonly message: string;
      readonly hint?: string;
    };

/** Each thread has buffers, and WebAssembly memory, of some MiB: memory is bounded by this and not by the image. */
const MOST_THREADS = 16;

/** Threads that work on layers, as many as cores; they start with the first jobs and end with `close`. */
export class LayerPool {
  readonly #size: number;
  readonly #idle: Worker[] = [];
  readonly #all: Worker[] = [];
  readonly #waiting: ((worker: Worker) => void)[] = [];
  #isClosed = false;

  constructor(size = availableParallelism()) {
    this.#size = Math.min(Math.max(1, size), MOST_THREADS);
  }

  /** Does a job on the next free thread. @throws what `runJob` throws; DecoderError INTERRUPTED after `close` */
  async run(job: LayerJob, onBytes: (count: number) => void): Promise<LayerOutput> {
    const worker = await this.#acquire();
    try {
      if (this.#isClosed) throw interrupted();
      return await converse(worker, job, onBytes);
    } finally {
      this.#release(worker);
    }
  }

  /** Ends the threads, and with them what they are at; jobs that wait are not begun. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#all.map((worker) => worker.terminate()));
  }

  #acquire(): Worker | Promise<Worker> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#all.length < this.#size) {
      const worker = new Worker(workerUrl());
      this.#all.push(worker);
      return worker;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #release(worker: Worker): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(worker);
    else next(worker);
  }
}

async function converse(
  worker: Worker,
  job: LayerJob,
  onBytes: (count: number) => void,
): Promise<LayerOutput> {
  const answer = Promise.withResolvers<LayerOutput>();
  const onMessage = (message: FromWorker) => {
    if (message.kind === "bytes") onBytes(message.count);
    else if (message.kind === "done") answer.resolve(message.output);
    else answer.reject(failure(message));
  };
  const onExit = () => answer.reject(interrupted());
  worker.on("message", onMessage).on("error", answer.reject).on("exit", onExit);
  worker.postMessage(job);
  try {
    return await answer.promise;
  } finally {
    worker.off("message", onMessage).off("error", answer.reject).off("exit", onExit);
  }
}

function interrupted(): DecoderError {
  return new DecoderError("INTERRUPTED", "interrupted");
}

function failure({ code, message, hint }: Extract<FromWorker, { kind: "failed" }>): Error {
  return code === undefined
    ? new Error(message)
    : new DecoderError(code, message, hint === undefined ? {} : { hint });
}

/** Beside this file; in the executable, where the parts lie at the root, in the folder that it came from. */
function workerUrl(): URL {
  return new URL(IS_COMPILED ? "./image/layer-worker.ts" : "./layer-worker.ts", import.meta.url);
}
