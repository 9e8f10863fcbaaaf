/** The signals that ask a process to end. */
export const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

type Listener = (name: NodeJS.Signals) => void;

let running = 0;
let removed: (readonly [name: NodeJS.Signals, listener: Listener])[] = [];

/**
 * Lets signals end the process at once while `work` runs. Deriving a key from a password may keep the thread busy for
 * seconds, during which no handler can run. Use it only where an abrupt end leaves nothing half done.
 */
export async function endingAtOnce<T>(work: () => Promise<T>): Promise<T> {
  if (running++ === 0) {
    removed = STOP_SIGNALS.flatMap((name) =>
      process.rawListeners(name).map((listener) => [name, listener as Listener] as const),
    );
    for (const [name, listener] of removed) process.off(name, listener);
  }
  try {
    return await work();
  } finally {
    if (--running === 0) for (const [name, listener] of removed.splice(0)) process.on(name, listener);
  }
}
