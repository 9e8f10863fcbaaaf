import { onTestFinished, vi } from "vitest";

/** Turns of the event loop in which work that ends too early has ended, and in which all work has. */
const [FEW_TURNS, MANY_TURNS] = [200, 20_000];

async function turns(most: number, isEnough: () => boolean): Promise<void> {
  for (let i = 0; i < most && !isEnough(); i++) await new Promise(setImmediate);
}

/** Timers that only the test moves, while sockets and programs go on. They are real again when the test ends. */
export class FakeTimers {
  #started = 0;

  constructor() {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const start = globalThis.setTimeout;
    // No spy: after the file, vitest would put back what a spy has replaced, which is no real timer.
    globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => {
      this.#started += 1;
      return start(...args);
    }) as typeof setTimeout;
    onTestFinished(() => {
      vi.useRealTimers();
    });
  }

  /** Waits until so many timers have been started in all. */
  async started(count: number): Promise<void> {
    while (this.#started < count) await new Promise(setImmediate);
  }

  advance(milliseconds: number): void {
    vi.advanceTimersByTime(milliseconds);
  }

  /**
   * Waits for the end of work that a timer ends.
   * @param milliseconds until then. @returns "too early", "too late", or how it ended in time
   */
  async endOf<T>(work: Promise<T>, milliseconds: number): Promise<PromiseSettledResult<T> | string> {
    let end: PromiseSettledResult<T> | undefined;
    Promise.allSettled([work]).then(([it]) => {
      end = it;
    });
    this.advance(milliseconds - 1);
    await turns(FEW_TURNS, () => end !== undefined);
    if (end !== undefined) return "too early";
    this.advance(1);
    await turns(MANY_TURNS, () => end !== undefined);
    return end ?? "too late";
  }
}
