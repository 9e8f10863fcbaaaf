import { Worker } from "node:worker_threads";
import { type CHUNK_WORKER, IS_COMPILED, type LAYER_WORKER } from "./runtime.ts";

/**
 * Starts a thread of this program. In the executable, it starts at main.ts. If it had an entry point of its own, the build would move
 * the code that both share into files of their own, and each layer would have to load them.
 */
export function startThread(code: typeof CHUNK_WORKER | typeof LAYER_WORKER, workerData: unknown): Worker {
  const entry = IS_COMPILED ? (process.argv[1] ?? "") : new URL(`../${code}`, import.meta.url);
  return new Worker(entry, { argv: [code], workerData });
}
