import { expect, test } from "vitest";
import { parseStrictJson } from "../../../src/encoding/strict-json.ts";

const parse = (text: string) => parseStrictJson(Buffer.from(text));

test("reads what JSON.parse reads", () => {
  const text = '{"a":[1,{"b":"x\\"{:}"},null],"c":{"b":1},"d":{"b":":"},"":{}}';
  expect(parse(text)).toEqual(JSON.parse(text));
  expect(parse(' "a:a" ')).toBe("a:a");
});

test.each([
  ['{"a":1,"a":1}', '"a" twice'],
  ['{"a":1,"\\u0061":2}', '"a" twice'],
  ['{"x":{"a":[{"b":1,"c":"a","b":2}]}}', '"b" twice'],
  ['{"__proto__":1,"__proto__":2}', '"__proto__" twice'],
  ['{"a":1}}', "not JSON"],
  ["", "not JSON"],
  ["\uFEFF{}", "not JSON"],
])("refuses %s", (text, why) => {
  expect(() => parse(text)).toThrow(SyntaxError);
  expect(() => parse(text)).toThrow(why);
});

test("reads lists and objects in one another, 64 deep", () => {
  const nested = `${'{"a":['.repeat(32)}${"]}".repeat(32)}`;
  expect(parse(nested)).toEqual(JSON.parse(nested));
  expect(() => parse(`[${nested}]`)).toThrow("nested more than 64");
});

test("refuses bytes that are not UTF-8", () => {
  expect(() => parseStrictJson(Uint8Array.of(0x22, 0xff, 0x22))).toThrow("not JSON");
});

test("the same name in sibling objects is not a repetition", () => {
  expect(parse('[{"a":1},{"a":2}]')).toEqual([{ a: 1 }, { a: 2 }]);
});
