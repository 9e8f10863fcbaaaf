import { expect, test } from "vitest";
import { parseYaml } from "../../../src/encoding/yaml.ts";

const read = (text: string) => parseYaml(Buffer.from(text));

test("every scalar is a text, and every collection a list or an object", () => {
  expect(read("a: 1.10\nb: [yes, ~, !!str 5]\nc: !!map { d: !!seq [] }\n---\ne")).toEqual([
    { a: "1.10", b: ["yes", "~", "5"], c: { d: [] } },
    "e",
  ]);
});

test.each([
  ["uses of an alias", 16, (count: number) => `a: &a b\nc: [${"*a, ".repeat(count)}]`],
  ["documents", 256, (count: number) => "---\na\n".repeat(count)],
])("%s: %i and no more", (_what, most, textOf) => {
  expect(() => read(textOf(most))).not.toThrow();
  expect(() => read(textOf(most + 1))).toThrow("not valid YAML");
});

test.each([
  "a: !!omap [b: c]",
  "a: !!set { b, c }",
  "a: !!binary aGk=",
  "a: !!timestamp 2001-12-15",
  "a: !!bool true",
  "a: !other b",
  "a: 1\na: 2",
  'a: 1\n"a": 2',
  "a: *b",
  "a: [",
])("%j is refused", (text) => {
  expect(() => read(text)).toThrow(new SyntaxError("not valid YAML"));
});
