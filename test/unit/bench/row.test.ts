import { describe, expect, test } from "vitest";
import { atMost, type Line, type Row, resultOf, run } from "../../../scripts/bench/row.ts";
import type { Workspace } from "../../../scripts/bench/workspace.ts";

const SAMPLES = { ours: [8, 10, 12], go: [10, 20, 10], plain: [5, 5, 5] };

function judged(line: Omit<Line, "title">) {
  const row = { id: "row", unit: "ms", lines: [{ title: "a line", ...line }] } as unknown as Row;
  return resultOf(row, SAMPLES).lines[0];
}

describe("a line's result", () => {
  test("is the median of the rounds' ratios, not the ratio of the medians", () => {
    const line = judged({ of: "ours", over: "go", goal: atMost(0.8) });
    expect(line).toMatchObject({ ratio: { median: 0.8 }, reached: true });
    expect(line?.numbers.median).toBe(10);
    expect(line?.otherNumbers?.median).toBe(10);
  });

  test.each([
    ["at most", 0.79, false],
    ["at most", 0.81, true],
    ["rate at least", 1.24, true],
    ["rate at least", 1.26, false],
  ] as const)("%s %f is judged", (kind, limit, reached) => {
    expect(judged({ of: "ours", over: "go", goal: { kind, limit } })).toMatchObject({ reached });
  });

  test("of a rate is the other way round", () => {
    const goal = { kind: "rate at least", limit: 1 } as const;
    expect(judged({ of: "ours", over: "go", goal })?.ratio?.median).toBe(1.25);
  });

  test("beyond a third one takes that off both first, and compares with the other's median", () => {
    const line = judged({ of: "ours", over: "go", beyond: "plain", goal: atMost(0.6) });
    expect(line).toMatchObject({ numbers: { median: 5 }, otherNumbers: { median: 5 }, reached: false });
    expect(line?.ratio).toEqual({ low: 0.8, median: 1, high: 1.2 });
  });

  test("of one alone is judged by its number", () => {
    expect(judged({ of: "ours", goal: atMost(10) })).toMatchObject({ reached: true });
    expect(judged({ of: "ours", goal: atMost(9) })).toMatchObject({ reached: false });
    expect(judged({ of: "ours" })).not.toHaveProperty("reached");
  });

  test("of somebody who was not measured is a bug", () => {
    expect(() => judged({ of: "nobody" })).toThrow(/nobody/);
  });
});

describe("a row", () => {
  test("is measured in turns, the first round for nothing, and cleaned up", async () => {
    const calls: string[] = [];
    let time = 0;
    const measure = (name: string) => () => {
      calls.push(name);
      return time++;
    };
    const end = async () => void calls.push("end");
    const contestants = { a: measure("a"), b: measure("b") };
    const row = {
      id: "row",
      unit: "ms",
      rounds: 9,
      lines: [],
      prepare: async () => ({ contestants, end }),
    } as Row;
    const { samples } = await run(row, 2, {} as Workspace);
    expect(calls).toEqual(["a", "b", "a", "b", "a", "b", "end"]);
    expect(samples).toEqual({ a: [2, 4], b: [3, 5] });
  });

  test("is cleaned up after a failure", async () => {
    let ended = false;
    const race = {
      contestants: { a: () => Promise.reject(new Error("it failed")) },
      end: async () => {
        ended = true;
      },
    };
    const row = { id: "row", unit: "ms", rounds: 1, lines: [], prepare: async () => race } as Row;
    await expect(run(row, 1, {} as Workspace)).rejects.toThrow("it failed");
    expect(ended).toBe(true);
  });
});
