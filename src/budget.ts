/** The most that some work may take; undefined: without a limit. */
export interface Allowance {
  readonly attempts?: number;
  /** Processor time of this process, all threads, in milliseconds. */
  readonly cpuMs?: number;
  /** Time on the clock, in milliseconds. */
  readonly clockMs?: number;
}

interface Spent {
  readonly attempts: number;
  readonly cpuMs: number;
  readonly clockMs: number;
}

/** Bounds work whose amount others choose. The clock runs from the start. */
export class Budget {
  readonly #allowance: Allowance;
  readonly #startClock = performance.now();
  #startCpu: number | undefined;
  #attempts = 0;

  constructor(allowance: Allowance) {
    this.#allowance = allowance;
  }

  /**
   * Call before each attempt. Returns false when the budget is spent: the attempt must not be made.
   * Processor time counts from the second attempt on. Most layers need one attempt, and reading that clock costs 0.3 ms.
   */
  take(): boolean {
    this.#attempts++;
    if (this.#attempts > 1 && this.#allowance.cpuMs !== undefined) this.#startCpu ??= cpuMilliseconds();
    return isWithin(this.spent, this.#allowance);
  }

  /** What was taken so far; `attempts` includes a refused one. */
  get spent(): Spent {
    return {
      attempts: this.#attempts,
      cpuMs: this.#startCpu === undefined ? 0 : cpuMilliseconds() - this.#startCpu,
      clockMs: performance.now() - this.#startClock,
    };
  }
}

/** Bounds work that comes in pieces. The time between two pieces does not count. */
export class PieceBudget {
  readonly #allowance: Allowance;
  #spent = NOTHING;

  constructor(allowance: Allowance) {
    this.#allowance = allowance;
  }

  get isSpent(): boolean {
    return !isWithin(this.#spent, this.#allowance);
  }

  /** Time on the clock that is left, in milliseconds. */
  get clockMsLeft(): number {
    return (this.#allowance.clockMs ?? Number.POSITIVE_INFINITY) - this.#spent.clockMs;
  }

  /** Starts a piece. Call the returned function when it ends, also when it fails. */
  begin(): () => void {
    const [clock, cpu] = [performance.now(), cpuMilliseconds()];
    return () => {
      const { attempts, cpuMs, clockMs } = this.#spent;
      this.#spent = {
        attempts: attempts + 1,
        cpuMs: cpuMs + cpuMilliseconds() - cpu,
        clockMs: clockMs + performance.now() - clock,
      };
    };
  }

  /** Forgets what was spent. */
  restart(): void {
    this.#spent = NOTHING;
  }
}

const NOTHING: Spent = { attempts: 0, cpuMs: 0, clockMs: 0 };

function isWithin(spent: Spent, { attempts, cpuMs, clockMs }: Allowance): boolean {
  return (
    (attempts === undefined || spent.attempts <= attempts) &&
    (cpuMs === undefined || spent.cpuMs <= cpuMs) &&
    (clockMs === undefined || spent.clockMs <= clockMs)
  );
}

function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
