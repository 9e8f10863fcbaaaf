import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ACCEPTED, CHANGES } from "../../scripts/mutants/list.ts";
import { lineOf, mutated } from "../../scripts/mutants/mutant.ts";
import { mutantsOf } from "../../scripts/mutants/operators.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();

/** The source with each of its derived changes. */
function changesOf(source: string): string[] {
  mkdirSync(join(folder, "src"), { recursive: true });
  writeFileSync(
    join(folder, "tsconfig.json"),
    '{ "compilerOptions": { "target": "es2023" }, "include": ["src"] }',
  );
  writeFileSync(join(folder, "src/x.ts"), source);
  const mutants = mutantsOf(folder, ["src/x.ts"]).get("src/x.ts") ?? [];
  return mutants.map((mutant) => mutated(source, mutant));
}

test.each([
  ["a === b;", ["a !== b;"]],
  ["a < b && c;", ["a < b || c;", "a <= b && c;"]],
  ["x = !a;", ["x = a;"]],
  ["x = true;", ["x = false;"]],
  ["x = 3 + 1024;", ["x = 4 + 1024;", "x = 3 + 1024000;"]],
  ["x = 0o600;", ["x = 0o777;"]],
  ["secret.destroy();", [";"]],
  ["await done(1);", [";", "await done(2);"]],
  ['open(path, "wx");', [";", 'open(path, "w");']],
  ["x = /^a$/;", ["x = /a$/;"]],
  ["x = list.every(f);", ["x = list.some(f);"]],
  [
    "function f(a) { if (a) throw a; }",
    ["function f(a) { if (false) throw a; }", "function f(a) { if (a) ; }"],
  ],
  ['type A = 1 | true; import type { b } from "b"; interface C { d: 5 }', []],
  ["every; // 1 === 2", []],
])("%s", (source, changed) => {
  expect(changesOf(source).toSorted()).toEqual(changed.toSorted());
});

test("a change of a file that no longer has the text is refused", () => {
  const mutant = { file: "x.ts", start: 4, from: "===", to: "!==" };
  expect(() => mutated("a + b;", mutant)).toThrow("x.ts changed");
  expect(lineOf("a\nb\nc", 2)).toBe(2);
});

const source = (file: string) => readFileSync(join(import.meta.dirname, "../..", file), "utf8");

test("each listed change can be made", () => {
  const wrong = CHANGES.filter(({ file, from }) => source(file).split(from).length !== 2);
  expect(wrong).toEqual([]);
});

test("the line of each accepted change is in its file", () => {
  const lines = (file: string) =>
    source(file)
      .split("\n")
      .map((line) => line.trim());
  const wrong = ACCEPTED.filter(
    ({ file, line, from }) => !lines(file).includes(line) || !line.includes(from),
  );
  expect(wrong).toEqual([]);
});
