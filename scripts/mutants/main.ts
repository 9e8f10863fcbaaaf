/**
 * Measures whether the tests notice wrong changes: `npm run mutants -- --help`. Each change is applied to a copy of the
 * project. A change that no test notices survives, and is printed.
 */
import { mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ACCEPTED, CHANGES } from "./list.ts";
import { isIn, lineOf, type Mutant } from "./mutant.ts";
import { mutantsOf } from "./operators.ts";
import { Runner, Unusable } from "./runner.ts";
import { Score } from "./score.ts";
import { STAGES, type StageName } from "./tests.ts";

const PROJECT = join(import.meta.dirname, "../..");
const ROOMS = ["cipher", "keywrap", "containerd/store", "decoder", "layer", "keys", "trust", "io", "node"];
const HELP = `usage: npm run mutants -- [OPTIONS] [PATH...]

PATH is a file or folder of src/; default the rooms ${ROOMS.join(", ")},
and with --listed all of src/.

  --listed     only the changes listed in scripts/mutants/list.ts
  --sample N   at most N derived changes of each PATH, spread evenly (default 50)
  --match TEXT only those of them whose printed line has this text; may be repeated
  --unit       run only the unit tests, not the executable
  --jobs N     how many run at once, each in a copy of its own (default 1)
  --dry-run    print the changes, and test nothing
  --help       print help
`;

function filesBelow(path: string): string[] {
  if (statSync(join(PROJECT, path)).isFile()) return [path];
  return readdirSync(join(PROJECT, path), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => join(path, name))
    .sort();
}

function source(file: string): string {
  return readFileSync(join(PROJECT, file), "utf8");
}

/** The listed changes of these files. @throws Error if one no longer applies */
function listed(files: readonly string[]): Mutant[] {
  return CHANGES.filter(({ file }) => files.includes(file)).map(({ file, from, to }) => {
    const [first = "", ...others] = source(file).split(from);
    if (others.length !== 1) throw new Error(`${file} has ${others.length} times, rather than once: ${from}`);
    return { file, start: first.length, from, to };
  });
}

/** At most `count` of them, spread evenly. */
function sample<T>(items: readonly T[], count: number): T[] {
  const step = Math.max(1, items.length / count);
  return Array.from({ length: Math.min(count, items.length) }, (_, i) => items[Math.floor(i * step)]).filter(
    (it): it is T => it !== undefined,
  );
}

function describe(mutant: Mutant): string {
  const { file, start, from, to } = mutant;
  const short = (text: string) => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  return `${file}:${lineOf(source(file), start)}: ${short(from)} -> ${short(to)}`;
}

const OPTIONS = {
  listed: { type: "boolean", default: false },
  sample: { type: "string", default: "50" },
  match: { type: "string", multiple: true },
  jobs: { type: "string", default: "1" },
  unit: { type: "boolean", default: false },
  "dry-run": { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

/** The changes to judge. @param count how many derived ones of each path */
function changesOf(paths: readonly string[], count: number): Mutant[] {
  const files = paths.map(filesBelow);
  const derived = count > 0 ? mutantsOf(PROJECT, files.flat()) : new Map<string, Mutant[]>();
  return files
    .flatMap((of) => [
      ...listed(of),
      ...sample(
        of.flatMap((file) => derived.get(file) ?? []),
        count,
      ),
    ])
    .filter((it) => !isIn(ACCEPTED, it, source(it.file)));
}

async function judgeAll(queue: Mutant[], stages: readonly StageName[], score: Score): Promise<void> {
  const runner = new Runner(PROJECT, mkdtempSync(join(tmpdir(), "ctd-decoder-mutants-")), stages);
  try {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      process.stderr.write(`${queue.length} left\r`);
      try {
        const fate = await runner.judge(mutant);
        score.add(mutant.file, fate);
        if (fate === "hung" || fate === "survived") process.stdout.write(`${fate}: ${describe(mutant)}\n`);
      } catch (error) {
        // One flaky test must not end a measurement of hours.
        if (!(error instanceof Unusable)) throw error;
        score.add(mutant.file, "unjudged");
        process.stdout.write(`not judged: ${describe(mutant)}: ${error.message}\n`);
      }
    }
  } finally {
    runner.close();
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS });
  if (values.help) return void process.stdout.write(HELP);
  const usual = values.listed ? ["src"] : ROOMS.map((room) => `src/${room}`);
  const paths = positionals.length > 0 ? positionals : usual;
  const queue = changesOf(paths, values.listed ? 0 : Number(values.sample)).filter((it) =>
    (values.match ?? [""]).some((text) => describe(it).includes(text)),
  );
  if (values["dry-run"]) return void process.stdout.write(queue.map((it) => `${describe(it)}\n`).join(""));
  const stages = values.unit ? STAGES.filter((it) => it !== "executable") : STAGES;
  const score = new Score();
  await Promise.all(Array.from({ length: Number(values.jobs) }, () => judgeAll(queue, stages, score)));
  process.stdout.write(score.table());
  if (!score.isPerfect) process.exitCode = 1;
}

// The copies and the tests in them end with this process.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
await main();
