import { expect, test } from "vitest";
import { Warnings } from "../../../src/registry/warnings.ts";

function passed(...headers: readonly (string | undefined)[]): string[] {
  const texts: string[] = [];
  const warnings = new Warnings((text) => texts.push(text));
  for (const header of headers) warnings.read(header);
  return texts;
}

test.each<[string | undefined, string[]]>([
  [undefined, []],
  ['299 - "this tag goes away"', ["this tag goes away"]],
  ['299 reg.test "one", 299 - "two"', ["one", "two"]],
  ['299 - "a \\"quoted\\" word"', ['a "quoted" word']],
  ['199 - "another code"', []],
  ["299 - no quotes", []],
])("of %j these are passed on: %j", (header, texts) => {
  expect(passed(header)).toEqual(texts);
});

test("each text is passed on once, and eight in all", () => {
  const headers = Array.from({ length: 9 }, (_, i) => `299 - "text ${i}"`);
  expect(passed(...headers.slice(0, 1), ...headers)).toEqual(
    Array.from({ length: 8 }, (_, i) => `text ${i}`),
  );
});
