/**
 * Adds up the results of `scripts/test`, lists what was not run, and prints the last line.
 *
 *   node scripts/test-summary.ts FOLDER STATUS     reports of the runners; 0 unless a step failed
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface VitestReport {
  readonly numPassedTests?: number;
  readonly numFailedTests?: number;
  readonly numPendingTests?: number;
  readonly numTodoTests?: number;
  readonly testResults?: readonly {
    readonly assertionResults: readonly {
      readonly status: string;
      readonly title: string;
      readonly ancestorTitles: readonly string[];
    }[];
  }[];
}

interface Case {
  readonly name: string;
  readonly passed: boolean;
  /** Why it was not run. */
  readonly skipped?: string;
}

const [folder = "", stepStatus] = process.argv.slice(2);
const say = (text: string) => process.stdout.write(`${text}\n`);

const vitest = JSON.parse(read("vitest.json") || "{}") as VitestReport;
const cases = [...conformanceCases(), ...trustCases()];
const tests = (vitest.testResults ?? []).flatMap((file) => file.assertionResults);
const left = tests.filter(({ status }) => status !== "passed" && status !== "failed");
for (const name of new Set(left.map((it) => it.ancestorTitles.join(" > ") || it.title)))
  say(`not run: ${name}`);
for (const it of cases) if (it.skipped !== undefined) say(`not run: ${it.name}: ${it.skipped}`);

const ran = cases.filter((it) => it.skipped === undefined);
const passed = (vitest.numPassedTests ?? 0) + ran.filter((it) => it.passed).length;
const failed = (vitest.numFailedTests ?? 0) + ran.filter((it) => !it.passed).length;
const skipped = (vitest.numPendingTests ?? 0) + (vitest.numTodoTests ?? 0) + cases.length - ran.length;
// A static check may fail, or a test file may not load, without any failed test.
const other = failed === 0 && stepStatus !== "0" ? 1 : 0;
say(`\n${passed} passed, ${failed + other} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
const isIncomplete = skipped > 0 && process.env["CI"] === "true";
process.exitCode = failed + other > 0 || passed === 0 || isIncomplete ? 1 : 0;

function conformanceCases(): Case[] {
  const lines = read("cases.jsonl").split("\n").filter(Boolean);
  return lines.map((line) => {
    const { name, pass, skip, why } = JSON.parse(line);
    return { name, passed: pass === true, ...(skip && { skipped: why }) };
  });
}

function trustCases(): Case[] {
  const { results = [] } = JSON.parse(read("trust.json") || "{}");
  return results.map(({ name, ok, skipped }: { name: string; ok?: boolean; skipped?: string }) => ({
    name,
    passed: ok === true,
    ...(skipped !== undefined && { skipped }),
  }));
}

function read(name: string): string {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
