import { parentPort, workerData } from "node:worker_threads";
import { DecoderError } from "../errors.ts";
import { abortRemoteRequests, closeRemoteClients, passWarningsTo } from "../transport/remote-clients.ts";
import { type LayerJob, runJob } from "./layer-jobs.ts";
import type { FromWorker, ToWorker } from "./layer-pool.ts";

/** Becomes 1 when the pool closes: the job is then given up. */
const stopped = workerData as Int32Array;

passWarningsTo((warning) => post({ kind: "warning", ...warning }));

/** A thread of the pool. It does one job at a time. */
let running = Promise.resolve();
parentPort?.on("message", (message: ToWorker) => {
  if (message.kind === "job") running = work(message.job);
  else {
    parentPort?.close();
    abortRemoteRequests();
    // A job that is given up still removes its upload, over these connections.
    void running.then(closeRemoteClients);
  }
});

/** Progress is posted after so many bytes: a message for each chunk would slow the other thread down. */
const REPORTED_BYTES = 4 * 1024 * 1024;
let unreported = 0;

async function work(job: LayerJob): Promise<void> {
  try {
    unreported = 0;
    const output = await runJob(job, onBytes);
    post({ kind: "bytes", count: unreported });
    const given = [output.member, output.block].flatMap((bytes) =>
      bytes === undefined ? [] : [bytes.buffer],
    );
    post({ kind: "done", output }, given);
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
  unreported += count;
  if (unreported < REPORTED_BYTES) return;
  post({ kind: "bytes", count: unreported });
  unreported = 0;
}

/** An error as plain data. Structured cloning would lose its class and code. */
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

function post(message: FromWorker, given: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, given);
}
