import { expect, test } from "vitest";
import { Fields } from "../../../../src/trust/policy/fields.ts";

const boolean = (value: unknown) => new Fields({ value }, "policy", ["value"]).boolean("value");

test.each([
  [true, true],
  ["True", true],
  ["FALSE", false],
  [null, undefined],
])("%j means %j", (value, expected) => {
  expect(boolean(value)).toBe(expected);
});

test.each(["yes", "tRUE", "", 1, ["true"], { toString: 1, valueOf: 1 }])("%j is neither", (value) => {
  expect(() => boolean(value)).toThrow("policy: value is neither true nor false");
});
