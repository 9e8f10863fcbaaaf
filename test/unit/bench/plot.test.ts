import { describe, expect, test } from "vitest";
import { plot } from "../../../scripts/bench/plot.ts";
import type { RowResult } from "../../../scripts/bench/row.ts";

const MIB = 1024 * 1024;

function row(bytes: number, ours: number[], go: number[]): RowResult {
  return { id: `layer-${bytes}`, unit: "ms", bytes, samples: { ours, go }, lines: [] };
}

/** The points of the lines drawn in a style, by their paths. */
function paths(svg: string, style: string): string[] {
  return Array.from(svg.matchAll(/class="line" style="([^"]*)" d="([^"]*)"/g))
    .filter(([, it]) => it === style)
    .map(([, , path = ""]) => path);
}

describe("plot", () => {
  // 1 MiB in 1000 ms is 1 MiB/s, 16 MiB in 1600 ms 10 MiB/s: one power of ten from the bottom to the top.
  const svg = plot([row(16 * MIB, [1600], [3200]), row(MIB, [1000], [1000])], ["a machine <here>"]) ?? "";

  test("draws throughput from left to right and the faster higher", () => {
    const [, ours] = paths(svg, "stroke:#1a6fd4");
    expect(ours).toBe("M76 380L768 104");
    const [, go] = paths(svg, "stroke:#d9541e");
    expect(go).toMatch(/^M76 380L768 187/);
  });

  test("names sizes and escapes what it is told", () => {
    expect(svg).toContain(">1 MiB</text>");
    expect(svg).toContain(">16 MiB</text>");
    expect(svg).toContain(">a machine &lt;here></text>");
  });

  test("draws the time relative to Go's, its quartiles as a bar", () => {
    const relative = plot([row(MIB, [1, 2, 3], [2, 2, 2]), row(16 * MIB, [2], [2])], []) ?? "";
    const bars = paths(relative, "stroke:#1a6fd4;stroke-width:1;stroke-dasharray:none");
    expect(bars).toHaveLength(2);
    expect(bars[0]).not.toMatch(/^M76 (\S+)V\1$/);
    expect(bars[1]).toMatch(/^M768 (\S+)V\1$/);
  });

  test("needs two sizes", () => {
    expect(plot([row(MIB, [1], [1])], [])).toBeUndefined();
    expect(plot([{ ...row(MIB, [1], [1]), bytes: undefined } as unknown as RowResult], [])).toBeUndefined();
  });
});
