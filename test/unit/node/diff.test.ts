import { expect, test } from "vitest";
import { lineDiff } from "../../../src/node/diff.ts";

const linesOf = (text: string) => text.split("\n").slice(0, -1);

/** What `patch` does with one hunk. */
function apply(text: string, diff: string): string {
  const [, , header = "", ...lines] = linesOf(diff);
  const [, from = "", count = ""] = /^@@ -(\d+),(\d+) \+\d+,\d+ @@$/.exec(header) ?? [];
  const start = Number(count) === 0 ? Number(from) : Number(from) - 1;
  const side = (marks: string) =>
    lines.filter(([mark = ""]) => marks.includes(mark)).map((line) => line.slice(1));
  const old = linesOf(text);
  expect(old.splice(start, Number(count), ...side(" +"))).toEqual(side(" -"));
  return old.map((line) => `${line}\n`).join("");
}

test.each([
  ["", "a\nb\n"],
  ["a\nb\n", ""],
  ["a\nb\nc\nd\ne\n", "a\nb\nX\nc\nd\ne\n"],
  ["1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n"],
  ["1\n2\n", "1\n2\n3\n"],
  ["1\n1\n1\n", "1\n1\n"],
])("the difference of %j and %j turns one into the other", (before, after) => {
  expect(apply(before, lineDiff("/x", before, after))).toBe(after);
});

test("it has the form of diff -u, with three lines around a change", () => {
  const text = (line: string) => `1\n2\n3\n4\n${line}\n6\n7\n8\n9\n`;
  expect(lineDiff("/x", text("5"), text("X"))).toBe(
    "--- /x\n+++ /x\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n",
  );
});

test("of an empty text it names line 0", () => {
  expect(lineDiff("/x", "", "a\n")).toBe("--- /x\n+++ /x\n@@ -0,0 +1,1 @@\n+a\n");
  expect(lineDiff("/x", "a\n", "")).toBe("--- /x\n+++ /x\n@@ -1,1 +0,0 @@\n-a\n");
});

test("equal texts have none", () => expect(lineDiff("x", "a\n", "a\n")).toBe(""));
