/** What a row of the benchmark is, and how its numbers are taken and judged. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { differences, ratios, type Spread, spreadOf } from "./statistics.ts";
import type { Workspace } from "./workspace.ts";

export interface Row {
  /** For `--only`. */
  readonly id: string;
  readonly unit: "ms" | "MiB";
  /** How often each contestant is measured. */
  readonly rounds: number;
  /** Of the layer, in the rows that the plot is made of. */
  readonly bytes?: number;
  /** Left out unless it is asked for by this option. */
  readonly option?: "large" | "containerd";
  readonly lines: readonly Line[];
  prepare(workspace: Workspace): Promise<Race>;
}

export interface Race {
  /** By name; each call measures once, in the row's unit. */
  readonly contestants: Readonly<Record<string, () => number | Promise<number>>>;
  end?(): Promise<void>;
}

/** What is told of a row: one contestant, or one over another. */
export interface Line {
  readonly title: string;
  readonly of: string;
  readonly over?: string;
  /** Only what the two took more than this one in the same round is compared: {@link ratioOf}. */
  readonly beyond?: string;
  readonly goal?: Goal;
}

/** Of the ratio, or where there is none of the number. "rate": of one over the other, so their times' the other way round. */
export type Goal =
  | { readonly kind: "at most"; readonly limit: number }
  | { readonly kind: "rate at least"; readonly limit: number };

export function atMost(limit: number): Goal {
  return { kind: "at most", limit };
}

/** Every number by contestant, in the order of the rounds. */
export type Samples = Readonly<Record<string, readonly number[]>>;

export interface LineResult extends Line {
  readonly numbers: Spread;
  readonly otherNumbers?: Spread;
  readonly ratio?: Spread;
  readonly reached?: boolean;
}

export interface RowResult extends Pick<Row, "id" | "unit" | "bytes"> {
  readonly samples: Samples;
  readonly lines: readonly LineResult[];
}

/** Measures all contestants in turns, so that whatever else the machine does meets all of them. */
export async function run(row: Row, rounds: number, workspace: Workspace): Promise<RowResult> {
  const race = await row.prepare(workspace);
  const contestants = Object.entries(race.contestants);
  const samples = new Map<string, number[]>(contestants.map(([name]) => [name, []]));
  try {
    // The first round, in which files and programs come into memory, doesn't count.
    for (let round = -1; round < rounds; round++) {
      // Signals are heard in between only: programs are waited for without a break.
      await nextTurn();
      for (const [name, measure] of contestants) {
        const number = await measure();
        if (round >= 0) samples.get(name)?.push(number);
      }
    }
  } finally {
    await race.end?.();
  }
  return resultOf(row, Object.fromEntries(samples));
}

export function resultOf({ id, unit, bytes, lines }: Row, samples: Samples): RowResult {
  const judged = lines.map((line) => judge(line, samples));
  return { id, unit, ...(bytes === undefined ? {} : { bytes }), samples, lines: judged };
}

function judge(line: Line, samples: Samples): LineResult {
  const taken = (name: string) => {
    const numbers = samples[name];
    if (numbers === undefined) throw new Error(`bug: nobody measured ${name}`);
    return numbers;
  };
  const counted = (name: string) =>
    line.beyond === undefined ? taken(name) : differences(taken(name), taken(line.beyond));
  const numbers = counted(line.of);
  if (line.over === undefined) return withVerdict({ ...line, numbers: spreadOf(numbers) });
  const others = counted(line.over);
  const ratio =
    line.goal?.kind === "rate at least" ? ratioOf(line, others, numbers) : ratioOf(line, numbers, others);
  return withVerdict({ ...line, numbers: spreadOf(numbers), otherNumbers: spreadOf(others), ratio });
}

/** Of each round; but of small differences, where a round's may be next to nothing, over the other's median. */
function ratioOf({ beyond }: Line, over: readonly number[], under: readonly number[]): Spread {
  if (beyond === undefined) return spreadOf(ratios(over, under));
  const { median } = spreadOf(under);
  return spreadOf(over.map((value) => value / median));
}

function withVerdict(result: LineResult): LineResult {
  const { goal } = result;
  if (goal === undefined) return result;
  const { median } = result.ratio ?? result.numbers;
  return { ...result, reached: goal.kind === "at most" ? median <= goal.limit : median >= goal.limit };
}
