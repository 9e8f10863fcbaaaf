import { expect, test } from "vitest";
import { checkValues, mostValues } from "../../../src/encoding/json-values.ts";

test.each([
  ["1", 1],
  ["[]", 2],
  ["[1]", 2],
  ["[1,2]", 3],
  ['{"a":1,"b":[{},"c"]}', 6],
])("%s has at most so many values", (text, count) => {
  expect(mostValues(Buffer.from(text))).toBe(count);
});

test("131,072 values are accepted, and no more", () => {
  // The list is a value, too.
  const list = (values: number) => Buffer.from(JSON.stringify(Array(values - 1).fill(0)));
  expect(() => checkValues(list(131_072), "manifest m")).not.toThrow();
  expect(() => checkValues(list(131_073), "manifest m")).toThrow("manifest m has more than 131072 values");
});
