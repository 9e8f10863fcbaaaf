/** A row of the benchmark: how its numbers are measured and judged. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { differences, ratios, type Spread, spreadOf } from "./statistics.ts";
import type { Workspace } from "./workspace.ts";

export interface Row {
  /** Its name for `--only`. */
  readonly id: string;
  readonly unit: "ms" | "MiB";
  /** How many times each contestant is measured. */
  readonly rounds: number;
  /** Size of the layer in bytes, in rows that the plot shows. */
  readonly bytes?: number;
  /** The option that includes this row; without it the row is left out. */
  readonly option?: "large" | "containerd" | "registry" | "tenants";
  readonly lines: readonly Line[];
  prepare(workspace: Workspace): Promise<Race>;
}

export interface Race {
  /** Name → a function that measures once, in the row's unit. */
  readonly contestants: Readonly<Record<string, () => number | Promise<number>>>;
  end?(): Promise<void>;
}

/** A line of the result: one contestant, or one compared with another. */
export interface Line {
  readonly title: string;
  readonly of: string;
  readonly over?: string;
  /** A contestant whose time is subtracted from both, round by round: see {@link ratioOf}. */
  readonly beyond?: string;
  readonly goal?: Goal;
}

/** A goal for the ratio, or for the number if there is no ratio. "rate" is the inverse ratio of the times. */
export type Goal =
  | { readonly kind: "at most"; readonly limit: number }
  | { readonly kind: "rate at least"; readonly limit: number };

export function atMost(limit: number): Goal {
  return { kind: "at most", limit };
}

/** Contestant → its numbers, in the order of the rounds. */
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

/** Measures all contestants in turns, so that other work on the machine affects all of them. */
export async function run(row: Row, rounds: number, workspace: Workspace): Promise<RowResult> {
  const race = await row.prepare(workspace);
  const contestants = Object.entries(race.contestants);
  const samples = new Map<string, number[]>(contestants.map(([name]) => [name, []]));
  try {
    // The first round loads files and programs into memory and does not count.
    for (let round = -1; round < rounds; round++) {
      // Most measurements block until their program ends. Signals arrive between them.
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
    if (numbers === undefined) throw new Error(`bug: ${name} was not measured`);
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

/** The ratio in each round. After a subtraction, a round's difference may be near zero, so the divisor is the other's median. */
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
