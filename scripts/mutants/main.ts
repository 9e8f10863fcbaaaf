/**
 * Measures whether the tests notice wrong changes: `npm run mutants -- --help`. Each change is applied to a copy of the
 * project. A change that no test notices survives, and is printed.
 */
import { mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ACCEPTED, CHANGES } from "./list.ts";
import { lineOf, type Mutant } from "./mutant.ts";
import { mutantsOf } from "./operators.ts";
import { type Fate, Runner, Unusable } from "./runner.ts";

const PROJECT = join(import.meta.dirname, "../..");
const ROOMS = ["cipher", "keywrap", "containerd/store", "decoder", "layer", "keys", "trust", "io", "node"];
const HELP = `usage: npm run mutants -- [OPTIONS] [PATH...]

PATH is a file or folder of src/; default the rooms ${ROOMS.join(", ")},
and with --listed all of src/.

  --listed     only the changes listed in scripts/mutants/list.ts
  --sample N   at most N derived changes, spread evenly (default 400)
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

function isAccepted({ file, from, to, start }: Mutant): boolean {
  const line = source(file).split("\n")[lineOf(source(file), start) - 1]?.trim();
  return ACCEPTED.some((it) => it.file === file && it.line === line && it.from === from && it.to === to);
}

function describe(mutant: Mutant): string {
  const { file, start, from, to } = mutant;
  const short = (text: string) => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  return `${file}:${lineOf(source(file), start)}: ${short(from)} -> ${short(to)}`;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      listed: { type: "boolean", default: false },
      sample: { type: "string", default: "400" },
      jobs: { type: "string", default: "1" },
      "dry-run": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const usual = values.listed ? ["src"] : ROOMS.map((room) => `src/${room}`);
  const paths = positionals.length > 0 ? positionals : usual;
  const files = paths.flatMap(filesBelow);
  const derived = values.listed ? [] : [...mutantsOf(PROJECT, files).values()].flat();
  const queue = [...listed(files), ...sample(derived, Number(values.sample))].filter((it) => !isAccepted(it));
  if (values["dry-run"]) return void process.stdout.write(queue.map((it) => `${describe(it)}\n`).join(""));

  const fates: Record<Fate, number> = { caught: 0, hung: 0, survived: 0 };
  let unjudged = 0;
  const work = async () => {
    const runner = new Runner(PROJECT, mkdtempSync(join(tmpdir(), "ctd-decoder-mutants-")));
    try {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        try {
          const fate = await runner.judge(mutant);
          fates[fate] += 1;
          if (fate !== "caught") process.stdout.write(`${fate}: ${describe(mutant)}\n`);
        } catch (error) {
          // One flaky test must not end a measurement of hours.
          if (!(error instanceof Unusable)) throw error;
          unjudged += 1;
          process.stdout.write(`not judged: ${describe(mutant)}: ${error.message}\n`);
        }
      }
    } finally {
      runner.close();
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  const total = fates.caught + fates.hung + fates.survived;
  const share = ((100 * (total - fates.survived)) / total).toFixed(1);
  process.stdout.write(
    `${total} changes: ${fates.caught} caught, ${fates.hung} hung, ${fates.survived} survived (${share} % noticed)\n`,
  );
  if (unjudged > 0) process.stdout.write(`${unjudged} more changes were not judged\n`);
  if (fates.survived + unjudged > 0) process.exitCode = 1;
}

// The copies and the tests in them end with this process.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
await main();
