import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

/**
 * A setup file: ends this process when a test has blocked its thread for minutes. Vitest's own time-outs run on that thread,
 * so an endless loop or an open(2) that waits would stop all tests for ever.
 */
const BEAT_MS = 1000;

const holder = globalThis as { watchdogBeats?: Int32Array };
// Test files that share a process share its watchdog.
if (holder.watchdogBeats === undefined) {
  const beats = new Int32Array(new SharedArrayBuffer(4));
  holder.watchdogBeats = beats;
  setInterval(() => Atomics.add(beats, 0, 1), BEAT_MS).unref();
  const script = fileURLToPath(new URL("watchdog-thread.ts", import.meta.url));
  new Worker(script, { workerData: beats, execArgv: [] }).unref();
}
