import { Output } from "../io/output.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Does work that can be stopped, by Ctrl-C and the like, without leaving anything half done: the signal asks it to end,
 * and ends the process when all is cleaned up, as the shell that waits for it expects. A second one ends it at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let received: NodeJS.Signals | undefined;
  const stop = (name: NodeJS.Signals) => {
    received = name;
    controller.abort();
  };
  for (const name of SIGNALS) process.once(name, stop);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (received === undefined) throw error;
    new Output(2, "standard error").write(Buffer.from("ctd-decoder: interrupted; nothing was changed\n"));
    for (const name of SIGNALS) process.off(name, stop);
    process.kill(process.pid, received);
    throw error;
  } finally {
    for (const name of SIGNALS) process.off(name, stop);
  }
}
