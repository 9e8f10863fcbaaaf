import { parentPort } from "node:worker_threads";
import { DecoderError } from "../errors.ts";
import { type LayerJob, runJob } from "./layer-jobs.ts";
import type { FromWorker } from "./layer-pool.ts";

/** A thread of the pool: one job after the other, as they come. */
parentPort?.on("message", (job: LayerJob) => {
  void work(job);
});

async function work(job: LayerJob): Promise<void> {
  const onBytes = (count: number) => post({ kind: "bytes", count });
  try {
    const output = await runJob(job, onBytes);
    post({ kind: "done", output });
    output.encrypted?.privateOptions.fill(0);
  } catch (error) {
    post({ kind: "failed", ...describe(error) });
  }
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
