/**
 * Compares ctd-decoder with imgcrypt's Go decoder on this machine: `npm run bench -- --help`. Both run in turns on the
 * same inputs. Each round yields a ratio; the table shows the median and the quartiles of these ratios.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";
import { goDecoder, openssl, ours, PROJECT, skopeoNew } from "../../test/support/peers.ts";
import { DECODING } from "./decoding.ts";
import { ENCRYPTING } from "./encrypting.ts";
import { describeMachine, inWords } from "./machine.ts";
import { MEMORY } from "./memory.ts";
import { plot } from "./plot.ts";
import { PULLING } from "./pulling.ts";
import { REGISTRY_ROWS } from "./registry.ts";
import { type Row, type RowResult, run } from "./row.ts";
import { header, lineOf, markdown } from "./table.ts";
import { TENANTS } from "./tenants.ts";
import { TRUSTING } from "./trusting.ts";
import { Workspace } from "./workspace.ts";

const HELP = `npm run bench -- [OPTIONS]
  --only REGEX   rows whose name it matches
  --list         the rows' names, and nothing else
  --runs N       rounds of each row, instead of the row's own number
  --quick        3 rounds: to see that all works, not to judge
  --large        also layers of 10 GiB, which need 20 GiB of disk
  --containerd   also pulls through containerd, as root
  --registry     also images in a docker-registry, compared with skopeo and cosign
  --tenants      also what tenants cost, with a double of the API server
  --json         the results as JSON, and nothing else, on standard output
`;

const QUICK_ROUNDS = 3;
const ROWS: readonly Row[] = [
  ...DECODING,
  ...MEMORY,
  ENCRYPTING,
  ...PULLING,
  ...REGISTRY_ROWS,
  ...TRUSTING,
  ...TENANTS,
];

const options = parsed({
  options: {
    only: { type: "string" },
    runs: { type: "string" },
    quick: { type: "boolean", default: false },
    large: { type: "boolean", default: false },
    containerd: { type: "boolean", default: false },
    registry: { type: "boolean", default: false },
    tenants: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

function parsed<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>>["values"] {
  try {
    return parseArgs(config).values;
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : error}\n${HELP}`);
  }
}

function fail(message: string): never {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(1);
}

function chosenRows(): Row[] {
  const only = new RegExp(options.only ?? "", "i");
  return ROWS.filter(({ id, option }) => only.test(id) && (option === undefined || options[option]));
}

function roundsOf(row: Row): number {
  if (options.runs !== undefined) return Number.parseInt(options.runs, 10);
  return options.quick ? Math.min(QUICK_ROUNDS, row.rounds) : row.rounds;
}

async function measure(rows: readonly Row[], tell: (text: string) => void): Promise<RowResult[]> {
  const workspace = new Workspace();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      workspace.remove();
      process.kill(process.pid, signal);
    });
  }
  const results: RowResult[] = [];
  try {
    for (const row of rows) {
      const result = await run(row, roundsOf(row), workspace);
      workspace.removeLargeLayers();
      results.push(result);
      for (const line of result.lines) tell(lineOf(line, row.unit));
    }
  } finally {
    workspace.remove();
  }
  return results;
}

async function main(): Promise<void> {
  if (options.help) return void process.stdout.write(HELP);
  if (options.list) return void process.stdout.write(`${ROWS.map(({ id }) => id).join("\n")}\n`);
  for (const { absent } of [ours, goDecoder, openssl, skopeoNew]) if (absent !== undefined) fail(absent);
  const chosen = chosenRows();
  if (chosen.length === 0) fail("no row has such a name, or it needs another option; --list shows the names");

  const tell = (text: string) => {
    if (!options.json) process.stdout.write(`${text}\n`);
  };
  const machine = describeMachine();
  tell(`${inWords(machine).join("\n")}\n\n${header()}`);
  const rows = await measure(chosen, tell);

  const folder = join(PROJECT, "dist/bench");
  mkdirSync(folder, { recursive: true });
  const json = `${JSON.stringify({ machine, rows }, null, 2)}\n`;
  writeFileSync(join(folder, "results.json"), json);
  writeFileSync(join(folder, "table.md"), markdown(rows));
  const svg = plot(rows, inWords(machine));
  if (svg !== undefined) writeFileSync(join(folder, "throughput.svg"), svg);
  if (options.json) process.stdout.write(json);
  tell("\ndist/bench/ has results.json, table.md and throughput.svg");
}

await main();
