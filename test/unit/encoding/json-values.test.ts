import fc from "fast-check";
import { expect, test } from "vitest";
import { checkValues, mostValues } from "../../../src/encoding/json-values.ts";

test.each([
  ["1", 1],
  ["[]", 2],
  ["[1]", 2],
  ["[1,2]", 3],
  ['{"a":1,"b":[{},"c"]}', 6],
  ['{"a,[{":",[{"}', 2],
  [String.raw`["\\",1,"\",["]`, 4],
])("%s has at most so many values", (text, count) => {
  expect(mostValues(Buffer.from(text))).toBe(count);
});

test("never fewer than there are", () => {
  const countOf = (value: unknown): number =>
    1 +
    (typeof value === "object"
      ? Object.values(value ?? {}).reduce<number>((sum, it) => sum + countOf(it), 0)
      : 0);
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      expect(mostValues(Buffer.from(text))).toBeGreaterThanOrEqual(countOf(JSON.parse(text)));
    }),
  );
});

test("131,072 values are accepted, and no more", () => {
  // The list is a value, too.
  const list = (values: number) => Buffer.from(JSON.stringify(Array(values - 1).fill(0)));
  expect(() => checkValues(list(131_072), "manifest m")).not.toThrow();
  expect(() => checkValues(list(131_073), "manifest m")).toThrow("manifest m has more than 131072 values");
});
