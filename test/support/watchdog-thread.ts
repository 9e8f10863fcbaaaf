import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";

/** The thread of `watchdog.ts`. It counts its own seconds without a beat, so a machine that was suspended does no harm. */
const LIMIT_SECONDS = 300;

const beats = workerData as Int32Array;
let last = -1;
let silentSeconds = 0;
setInterval(() => {
  const beat = Atomics.load(beats, 0);
  silentSeconds = beat === last ? silentSeconds + 1 : 0;
  last = beat;
  if (silentSeconds < LIMIT_SECONDS) return;
  writeSync(2, `a test has blocked its thread for ${LIMIT_SECONDS} seconds; its process is killed\n`);
  process.kill(process.pid, "SIGKILL");
}, 1000);
