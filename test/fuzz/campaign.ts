import { DecoderError } from "../../src/errors.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { prepared, type Target } from "./targets.ts";

/** One input, however odd, is judged in less processor time; everything that can take longer has a limit of its own. */
const SLOW_MS = 2000;
/** And nothing is waited for so long: a promise that nobody keeps would end a program as if all were well. */
const ENDLESS_MS = 30_000;
/** What a campaign's inputs and results may keep in memory, all together. */
const GROWTH_BYTES = 512 * 1024 * 1024;
const LOOK_AT_MEMORY_EVERY = 4096;

export interface Finding {
  readonly seed: number;
  readonly input: Buffer;
  readonly what: string;
}

export interface Report {
  readonly executions: number;
  /** How often each error code came; "accepted" for none. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly slowestMs: number;
  readonly findings: readonly Finding[];
}

export interface Campaign {
  readonly runs: number;
  /** The first case's seed; each further one has the next number. */
  readonly seed: number;
  readonly findingsAtMost?: number;
  readonly onProgress?: (executions: number) => void;
}

/** Gives a target so many changed inputs, and keeps those that it answers with anything but a result or a DecoderError. */
export async function campaign(target: Target, options: Campaign): Promise<Report> {
  const { run, seeds, close } = await prepared(target);
  const outcomes = new Map<string, number>();
  const findings: Finding[] = [];
  let slowestMs = 0;
  let executions = 0;
  const before = process.memoryUsage().rss;
  try {
    for (; executions < options.runs; executions++) {
      const seed = options.seed + executions;
      const input = mutate(target.structure, seeds, new Random(seed));
      const found = (what: string) => findings.push({ seed, input, what });
      const start = process.cpuUsage();
      const outcome = await outcomeOf(run, input, found);
      const { user, system } = process.cpuUsage(start);
      const took = (user + system) / 1000;
      slowestMs = Math.max(slowestMs, took);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (took > SLOW_MS) found(`it took ${Math.round(took)} ms`);
      if (executions % LOOK_AT_MEMORY_EVERY === 0) {
        options.onProgress?.(executions);
        const growth = process.memoryUsage().rss - before;
        if (growth > GROWTH_BYTES) found(`memory grew by ${Math.round(growth / 2 ** 20)} MiB`);
      }
      if (findings.length >= (options.findingsAtMost ?? 8)) break;
    }
  } finally {
    close();
  }
  return { executions, outcomes, slowestMs, findings };
}

/** Whether it is done in time, be it with an error, which is thrown. */
async function settles(result: Promise<unknown>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), ENDLESS_MS);
  try {
    return await Promise.race([result.then(() => true), promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function outcomeOf(
  run: (bytes: Uint8Array<ArrayBuffer>) => unknown,
  input: Buffer,
  found: (what: string) => void,
): Promise<string> {
  try {
    // A copy: what is secret is zeroed.
    const result = run(new Uint8Array(input));
    if (result instanceof Promise && !(await settles(result))) {
      found(`it waited for ${ENDLESS_MS / 1000} s, and for nothing`);
      return "endless";
    }
    return "accepted";
  } catch (error) {
    if (error instanceof DecoderError) {
      if (error.message.startsWith("bug:")) found(error.message);
      return error.code;
    }
    found(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return "uncaught";
  }
}
