import { describe, expect, test } from "vitest";
import { atMost, type LineResult } from "../../../scripts/bench/row.ts";
import { bar, header, lineOf, markdown } from "../../../scripts/bench/table.ts";

const spread = (median: number) => ({ median, low: median * 0.9, high: median * 1.1 });

const COMPARED: LineResult = {
  title: "4 KiB layer",
  of: "ours",
  over: "go",
  goal: atMost(0.8),
  numbers: spread(12.345),
  otherNumbers: spread(24.69),
  ratio: spread(0.5),
  reached: true,
};

describe("bar", () => {
  test.each([
    [atMost(0.8), 0.8, "████████████████████|          "],
    [atMost(0.8), 0.4, "██████████··········|          "],
    [atMost(0.8), 1, "████████████████████|█████     "],
    [atMost(0.8), 9, "████████████████████|██████████"],
    [atMost(0.8), -1, "····················|          "],
    [{ kind: "rate at least", limit: 0.8 } as const, 0.64, "████████████████████|█████     "],
    [{ kind: "rate at least", limit: 0.8 } as const, 1.6, "██████████··········|          "],
  ])("%o: %f", (goal, value, expected) => {
    expect(bar(value, goal)).toBe(expected);
  });
});

describe("a line for the terminal", () => {
  test("has both numbers, their ratio, its spread, the goal and the verdict", () => {
    const line = lineOf(COMPARED, "ms");
    expect(line.replace(/ +/g, " ")).toMatch(
      /^4 KiB layer 12\.3 ms 24\.7 ms 0\.50 0\.45–0\.55 ≤ 0\.8 █+·+\| reached$/,
    );
    expect(lineOf({ ...COMPARED, reached: false }, "ms")).toMatch(/MISSED$/);
  });

  test("stands below the header", () => {
    expect(header().indexOf("ratio")).toBe(lineOf(COMPARED, "ms").indexOf("0.50") - 1);
  });

  test.each([
    [99.94, "ms", "99.9 ms"],
    [99.96, "ms", "100 ms"],
    [9999, "ms", "9999 ms"],
    [10_000, "ms", "10.0 s"],
    [95.6, "MiB", "96 MiB"],
  ] as const)("shows %f %s as %s", (number, unit, expected) => {
    const line = lineOf({ title: "limit", of: "ours", numbers: spread(number) }, unit);
    expect(line.replace(/ +/g, " ")).toBe(`limit ${expected}`);
  });

  test("gives a goal without a ratio its unit", () => {
    const memory = { title: "peak", of: "ours", numbers: spread(48), goal: atMost(96), reached: true };
    expect(lineOf(memory, "MiB")).toContain("≤ 96 MiB");
  });
});

describe("the table", () => {
  test("has a row for each line", () => {
    const limit = { title: "limit", of: "sha256", numbers: spread(7) };
    const lines = [COMPARED, { ...COMPARED, over: "sha256" }, limit];
    const text = markdown([{ id: "row", unit: "ms", samples: {}, lines }]);
    expect(text.split("\n").slice(2)).toEqual([
      "| 4 KiB layer | 12.3 ms | 24.7 ms | 0.50 (0.45–0.55) | ≤ 0.8 | reached |",
      "| 4 KiB layer | 12.3 ms | 24.7 ms (openssl) | 0.50 (0.45–0.55) | ≤ 0.8 | reached |",
      "| limit | 7.0 ms |  |  |  |  |",
      "",
    ]);
  });
});
