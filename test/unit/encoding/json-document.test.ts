import fc from "fast-check";
import { expect, test } from "vitest";
import { parseJson, writeJson } from "../../../src/encoding/json-document.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const again = (text: string) => {
  const { value, style } = parseJson(bytes(text));
  return Buffer.from(writeJson(value, style)).toString();
};

test.each([
  ["numbers beyond what JavaScript counts", '{"a":12345678901234567890123,"b":1.0,"c":1e400,"d":-0}'],
  ["one line", '{"b":1,"a":[{},[],null]}'],
  ["BuildKit's form", '{\n  "a": [\n    {\n      "b": 1\n    }\n  ]\n}'],
  ["Docker's form", '{\n   "a": 1\n}\n'],
  ["Go's escapes", '{"a":"\\u003cb\\u003e \\u0026 c"}'],
  ["names that are objects' own", '{"__proto__":{"x":1},"constructor":2}'],
])("%s come out as they went in", (_, text) => {
  expect(again(text)).toBe(text);
});

test("any JSON value comes out as it went in, on one line and indented", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(0, 2, 3, "\t"), (value, indent) => {
      const text = JSON.stringify({ value }, null, indent);
      expect(again(text)).toBe(text);
    }),
  );
});

test("what is not UTF-8 is refused", () => {
  expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(TypeError);
});
