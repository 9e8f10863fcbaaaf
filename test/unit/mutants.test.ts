import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { ACCEPTED, CHANGES } from "../../scripts/mutants/list.ts";
import { isIn, lineOf, type Mutant, mutated } from "../../scripts/mutants/mutant.ts";
import { mutantsOf } from "../../scripts/mutants/operators.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();

/** Each source with its derived changes. */
const CASES: readonly [source: string, changed: readonly string[]][] = [
  ["a === b;", ["a !== b;"]],
  ["a < b && c;", ["a < b || c;", "a <= b && c;"]],
  ["x = !a;", ["x = a;"]],
  ["x = true;", ["x = false;"]],
  ["x = 3 + 1024;", ["x = 4 + 1024;", "x = 3 + 1024000;"]],
  ["x = 0o600;", ["x = 0o777;"]],
  ["x = 0o777;", ["x = 0o700;"]],
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
];

/** Source → its mutants. Starting the compiler takes half a second, so one start parses all sources. */
let mutants: ReadonlyMap<string, readonly Mutant[]>;

beforeAll(() => {
  mkdirSync(join(folder, "src"));
  writeFileSync(
    join(folder, "tsconfig.json"),
    '{ "compilerOptions": { "target": "es2023" }, "include": ["src"] }',
  );
  const files = CASES.map(([source], index) => {
    writeFileSync(join(folder, `src/${index}.ts`), source);
    return `src/${index}.ts`;
  });
  const found = mutantsOf(folder, files);
  mutants = new Map(CASES.map(([source], index) => [source, found.get(`src/${index}.ts`) ?? []]));
});

test.each(CASES)("%s", (source, changed) => {
  const changes = mutants.get(source)?.map((mutant) => mutated(source, mutant));
  expect(changes?.toSorted()).toEqual(changed.toSorted());
});

test("a change of a file that no longer has the text is refused", () => {
  const mutant = { file: "x.ts", start: 4, from: "===", to: "!==" };
  expect(() => mutated("a + b;", mutant)).toThrow("x.ts changed");
  expect(lineOf("a\nb\nc", 2)).toBe(2);
});

const source = (file: string) => readFileSync(join(import.meta.dirname, "../..", file), "utf8");

test("a change is accepted in its line, and where it is told from another after what precedes it", () => {
  const text = "x;\n  f(1, -1);\n";
  const accepted = { file: "x.ts", line: "f(1, -1);", from: "1", to: "2", reason: "" };
  const judged = (change: object) =>
    [7, 11].map((start) =>
      isIn([{ ...accepted, ...change }], { file: "x.ts", start, from: "1", to: "2" }, text),
    );
  expect(judged({})).toEqual([true, true]);
  expect(judged({ after: "-" })).toEqual([false, true]);
  for (const other of [{ file: "y.ts" }, { line: "f(1);" }, { from: "-" }, { to: "3" }])
    expect(judged(other)).toEqual([false, false]);
});

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
    ({ file, line, after = "", from }) => !lines(file).includes(line) || !line.includes(after + from),
  );
  expect(wrong).toEqual([]);
});
