/** The results as text: lines for a terminal, and a table in Markdown. */
import type { Goal, LineResult, RowResult } from "./row.ts";
import type { Spread } from "./statistics.ts";

/** Cells of a bar up to its goal, and in total. */
const GOAL_CELLS = 20;
const BAR_CELLS = 30;

const TITLE_WIDTH = 54;

export function header(): string {
  return columns("", "ours", "other", "ratio", "half of them", "goal", "");
}

export function lineOf(result: LineResult, unit: RowResult["unit"]): string {
  const { ratio, goal, reached } = result;
  const judged = ratio ?? result.numbers;
  const verdict =
    reached === undefined ? "" : `${bar(judged.median, goal)} ${reached ? "reached" : "MISSED"}`;
  return columns(
    result.title,
    amount(result.numbers, unit),
    result.otherNumbers ? amount(result.otherNumbers, unit) : "",
    ratio ? ratio.median.toFixed(2) : "",
    ratio ? `${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)}` : "",
    goal ? inWords(goal, ratio === undefined ? unit : undefined) : "",
    verdict,
  );
}

function columns(title: string, ...rest: readonly [string, string, string, string, string, string]): string {
  const [numbers, other, ratio, spread, goal, verdict] = rest;
  const cells = [numbers.padStart(10), other.padStart(10), ratio.padStart(6), spread.padStart(12)];
  return `${title.padEnd(TITLE_WIDTH)}${cells.join(" ")}  ${goal.padEnd(9)} ${verdict}`.trimEnd();
}

/** A bar whose number just reaches the goal ends at the mark. */
export function bar(value: number, goal: Goal | undefined): string {
  if (goal === undefined) return "";
  const part = goal.kind === "at most" ? value / goal.limit : goal.limit / value;
  const filled = Math.max(0, Math.min(BAR_CELLS, Math.round(part * GOAL_CELLS)));
  const cells = "█".repeat(filled).padEnd(BAR_CELLS, "·");
  return `${cells.slice(0, GOAL_CELLS)}|${cells.slice(GOAL_CELLS).replaceAll("·", " ")}`;
}

function inWords(goal: Goal, unit: RowResult["unit"] | undefined): string {
  const sign = goal.kind === "at most" ? "≤" : "≥";
  return `${sign} ${goal.limit}${unit === undefined ? "" : ` ${unit}`}`;
}

function amount({ median }: Spread, unit: RowResult["unit"]): string {
  if (unit === "MiB") return `${median.toFixed(0)} MiB`;
  if (median >= 10_000) return `${(median / 1000).toFixed(1)} s`;
  return `${median.toFixed(median < 99.95 ? 1 : 0)} ms`;
}

/** Names of the programs that rows compare with instead of imgcrypt's decoder. */
const OTHERS: Readonly<Record<string, string>> = {
  go: "",
  sha256: " (openssl)",
  skopeo: " (skopeo)",
  smaller: " (smaller)",
};

export function markdown(rows: readonly RowResult[]): string {
  const lines = rows.flatMap(({ unit, lines }) => lines.map((line) => markdownLine(line, unit)));
  return [
    "| work | ctd-decoder | Go decoder | ratio | goal | |",
    "| --- | ---: | ---: | ---: | --- | --- |",
    ...lines,
    "",
  ].join("\n");
}

function markdownLine(result: LineResult, unit: RowResult["unit"]): string {
  const { title, over = "go", numbers, otherNumbers, ratio, goal, reached } = result;
  const cells = [
    title,
    amount(numbers, unit),
    otherNumbers ? `${amount(otherNumbers, unit)}${OTHERS[over] ?? ""}` : "",
    ratio ? `${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)})` : "",
    goal ? inWords(goal, ratio === undefined ? unit : undefined) : "",
    reached === undefined ? "" : reached ? "reached" : "missed",
  ];
  return `| ${cells.join(" | ")} |`;
}
