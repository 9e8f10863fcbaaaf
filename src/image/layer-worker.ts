import { parentPort, workerData } from "node:worker_threads";
import { DecoderError } from "../errors.ts";
import { closeRemoteClients } from "../transport/remote-clients.ts";
import { type LayerJob, runJob } from "./layer-jobs.ts";
import type { FromWorker, ToWorker } from "./layer-pool.ts";

/** Not 0 when the pool closes: what is being done is given up. */
const stopped = workerData as Int32Array;

/** A thread of the pool: one job after the other, as they come. */
parentPort?.on("message", (message: ToWorker) => {
  if (message.kind === "job") void work(message.job);
  else {
    parentPort?.close();
    // Requests that wait for a registry, and connections that are kept, would keep this thread.
    void closeRemoteClients();
  }
});

/** A message costs the other thread more than a chunk is worth telling. */
const TOLD_BYTES = 4 * 1024 * 1024;
let untold = 0;

async function work(job: LayerJob): Promise<void> {
  try {
    untold = 0;
    const output = await runJob(job, onBytes);
    post({ kind: "bytes", count: untold });
    post({ kind: "done", output });
    output.encrypted?.privateOptions.fill(0);
  } catch (error) {
    post({ kind: "failed", ...describe(error) });
  } finally {
    // This thread's own copy.
    if ("options" in job) job.options.key.fill(0);
  }
}

function onBytes(count: number): void {
  if (Atomics.load(stopped, 0) !== 0) throw new DecoderError("INTERRUPTED", "interrupted");
  untold += count;
  if (untold < TOLD_BYTES) return;
  post({ kind: "bytes", count: untold });
  untold = 0;
}

/** An error as plain data: what a runtime's own copying makes of a class is a bare Error. */
function describe(error: unknown): Omit<Extract<FromWorker, { kind: "failed" }>, "kind"> {
  if (error instanceof DecoderError) {
    return {
      code: error.code,
      message: error.message,
      ...(error.hint !== undefined && { hint: error.hint }),
    };
  }
  return {
    code: undefined,
    message: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
  };
}

function post(message: FromWorker): void {
  parentPort?.postMessage(message);
}
