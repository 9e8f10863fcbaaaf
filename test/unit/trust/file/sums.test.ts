import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { compareSums, readSums } from "../../../../src/trust/file/sums.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const sum = (text: string, algorithm = "sha256") => createHash(algorithm).update(text).digest("hex");
const A = sum("a");
const read = (text: string, algorithm: "sha256" | "sha512" = "sha256") =>
  readSums(Buffer.from(text), algorithm, "SUMS");

beforeAll(() => {
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin/tool"), "a");
  writeFileSync(join(folder, "two words"), "b");
});

test("reads the forms of sha256sum and of the BSDs", () => {
  const both = [
    { name: "bin/tool", hex: A },
    { name: "two words", hex: A },
  ];
  expect(read(`${A}  bin/tool\n${A.toUpperCase()} *two words\n`)).toEqual(both);
  expect(read(`SHA256 (bin/tool) = ${A}\r\nSHA256 (two words) = ${A}`)).toEqual(both);
  expect(read(`${A} bin/tool\n\t ${A}  two words`)).toEqual(both);
  expect(read(`SHA256(bin/tool)= ${A}\n SHA256(two words)= ${A}`)).toEqual(both);
});

test("empty lines, comments and a repeated line add nothing", () => {
  const text = `# released today\n\n${A}  a\n\r\n${A.toUpperCase()}  a\n#${A}  b\n\n`;
  expect(read(text)).toEqual([{ name: "a", hex: A }]);
});

test("reads the names that sha256sum escapes", () => {
  const names = [{ name: "a\\n\n\rb", hex: A }];
  expect(read(`\\${A}  a\\\\n\\n\\rb\n`)).toEqual(names);
  expect(read(`\\SHA256 (a\\\\n\\n\\rb) = ${A}\n`)).toEqual(names);
  // Without the backslash in front, the others are the name's own.
  expect(read(`${A}  a\\nb\n`)).toEqual([{ name: "a\\nb", hex: A }]);
});

test.each([
  ["", /has no checksum/],
  ["\n# comment\n", /has no checksum/],
  [`${A}  a\ncomment\n`, /line 2/],
  [`${A}  a\n # comment\n`, /line 2/],
  [`\\${A}  a\\b`, /line 1/],
  [`\\${A}  a\\`, /line 1/],
  [`\\${A}  ..\\\\/../a`, /outside the folder/],
  [`${A.slice(1)}  a`, /line 1/],
  [`${sum("a", "sha512")}  a`, /line 1/],
  [`${A}\ta`, /line 1/],
  [`${A}  /etc/passwd`, /outside the folder/],
  [`${A}  bin/../../x`, /outside the folder/],
  [`${A}  a\n${sum("b")}  a`, /two different sums of one file/],
  [`SHA512 (a) = ${A}`, /line 1/],
  [`xSHA256 (a) = ${A}`, /line 1/],
  [`SHA256 (a) = ${A}x`, /line 1/],
  [`SHA256 (a) = ${A} x`, /line 1/],
  [`x${A}  a`, /line 1/],
  [`x\\${A}  a\\n`, /line 1/],
  [`\\${A}  x\\qa`, /line 1/],
])("refuses %j", (text, why) => {
  expect(() => read(text)).toThrow(why);
});

test("compares files, whatever is wrong with some", () => {
  const lines = [`${A}  bin/tool`, `${A}  two words`, `${A}  gone`, `${A}  bin`];
  expect(compareSums(read(lines.join("\n")), "sha256", folder).map(({ result }) => result)).toEqual([
    "matches",
    "differs",
    "missing",
    "unreadable",
  ]);
  expect(compareSums(read(`${sum("a", "sha512")}  bin/tool`, "sha512"), "sha512", folder)).toEqual([
    { name: "bin/tool", result: "matches" },
  ]);
});

test("65,536 lines are read, with or without a last line feed, and no more", () => {
  const lines = (count: number) => `${A}  a\n`.repeat(count);
  expect(read(lines(65_536))).toHaveLength(1);
  expect(read(lines(65_536).slice(0, -1))).toHaveLength(1);
  expect(() => read(`${lines(65_536)}\n`)).toThrow("SUMS has more than 65536 lines");
  expect(() => read(`${lines(65_535)}\n\n`)).toThrow(/more than 65536 lines/);
});

test("the other algorithm's sums are read in both forms", () => {
  const hex = sum("a", "sha512");
  expect(read(`${hex}  a\nSHA512 (b) = ${hex}`, "sha512").map(({ name }) => name)).toEqual(["a", "b"]);
  for (const text of [`xSHA512 (b) = ${hex}`, `SHA512 (b) = ${hex}x`])
    expect(() => read(text, "sha512")).toThrow(/line 1/);
});
