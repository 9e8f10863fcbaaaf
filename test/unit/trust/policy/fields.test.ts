import { describe, expect, test } from "vitest";
import { Fields } from "../../../../src/trust/policy/fields.ts";

const fields = (value: unknown) => new Fields({ value }, "policy", ["value"]);
const boolean = (value: unknown) => fields(value).boolean("value");

test.each([
  [true, true],
  [false, false],
  ["true", true],
  ["True", true],
  ["TRUE", true],
  ["false", false],
  ["False", false],
  ["FALSE", false],
  [null, undefined],
])("%j means %j", (value, expected) => {
  expect(boolean(value)).toBe(expected);
});

test.each([
  "yes",
  "tRUE",
  "untrue",
  "truer",
  "xfalse",
  "falsey",
  "",
  1,
  ["true"],
  { toString: 1, valueOf: 1 },
])("%j is neither", (value) => {
  expect(() => boolean(value)).toThrow("policy: value is neither true nor false");
});

test("a field that is absent or null has no value of any kind", () => {
  for (const it of [fields(null), new Fields({}, "policy", [])]) {
    const values = [it.text("value"), it.fullText("value"), it.list("value"), it.texts("value")];
    expect([...values, it.bytes("value"), it.bytesList("value")]).toEqual(Array(6).fill(undefined));
    expect(() => it.requiredText("value")).toThrow("policy: value is missing");
  }
  expect([fields(null).has("value"), new Fields({}, "policy", []).has("value")]).toEqual([true, false]);
  expect(new Fields({}, "policy", ["toString"]).value("toString")).toBeUndefined();
});

test("a field of its kind has a value", () => {
  expect([
    fields("x").text("value"),
    fields("x").fullText("value"),
    fields("x").requiredText("value"),
  ]).toEqual(["x", "x", "x"]);
  expect(fields("").text("value")).toBe("");
  expect([fields([]).list("value"), fields([1]).list("value"), fields([]).texts("value")]).toEqual([
    [],
    [1],
    [],
  ]);
  expect(fields(["a", "b"]).texts("value")).toEqual(["a", "b"]);
  expect(fields("AQ==").bytes("value")).toEqual(new Uint8Array([1]));
  expect(fields(["AQ==", "Ag=="]).bytesList("value")).toEqual([new Uint8Array([1]), new Uint8Array([2])]);
});

describe("a field of another kind is refused", () => {
  test.each<[string, (it: Fields) => unknown, unknown, string]>([
    ["text", (it) => it.text("value"), 1, "value is not a text"],
    ["required text", (it) => it.requiredText("value"), "", "value is missing"],
    ["full text", (it) => it.fullText("value"), "", "value is empty"],
    ["list", (it) => it.list("value"), "x", "value is not a list"],
    ["texts", (it) => it.texts("value"), ["x", 1], "value is not a list of texts"],
    ["bytes", (it) => it.bytes("value"), "*", "value is not base64"],
    ["list of bytes", (it) => it.bytesList("value"), ["AQ==", "*"], "value[1] is not base64"],
  ])("%s", (_kind, read, value, message) => {
    expect(() => read(fields(value))).toThrow(`policy: ${message}`);
  });

  test.each([[[]], ["x"], [null], [undefined]])("%j is not an object", (value) => {
    expect(() => new Fields(value, "policy", [])).toThrow("policy: it is not an object");
  });
});
