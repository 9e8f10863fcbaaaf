import { Worker } from "node:worker_threads";
import { type CHUNK_WORKER, IS_COMPILED, type LAYER_WORKER } from "./runtime.ts";

/**
 * Starts a thread of this program. In the executable, it enters by main.ts as everything does: of code that several entry points
 * share, the build would make files of their own, and each layer would have to load them.
 */
export function startThread(code: typeof CHUNK_WORKER | typeof LAYER_WORKER, workerData: unknown): Worker {
  const entry = IS_COMPILED ? (process.argv[1] ?? "") : new URL(`../${code}`, import.meta.url);
  return new Worker(entry, { argv: [code], workerData });
}
