import { expect, test } from "vitest";
import { parseJsonObject } from "../../../src/encoding/json.ts";

const parse = (text: string) => parseJsonObject(Buffer.from(text));
const nested = (levels: number, inner = "") => `{"a":${"[".repeat(levels)}${inner}${"]".repeat(levels)}}`;

test("10,000 levels are read as by Go's encoding/json, and one more is not", () => {
  expect(parse(nested(9_999))).toHaveProperty("a");
  expect(parse(nested(10_000))).toBeNull();
  expect(parse('{"a":'.repeat(10_000) + 1 + "}".repeat(10_000))).toHaveProperty("a");
  expect(parse('{"a":'.repeat(10_001) + 1 + "}".repeat(10_001))).toBeNull();
});

test.each([
  ["closed lists", `{"a":[${"[],".repeat(20_000)}[]]}`],
  ["brackets in a string", nested(1, `"${"[{".repeat(20_000)}"`)],
  ["brackets after an escaped quote", nested(1, `"\\"${"[".repeat(20_000)}"`)],
  ["quotes after backslashes", nested(1, `${'"\\\\",'.repeat(20_000)}"["`)],
])("a long document with %s is not deep", (_, text) => {
  expect(JSON.stringify(parse(text))).toBe(JSON.stringify(JSON.parse(text)));
});

test("brackets after a string that ends in a backslash are counted", () => {
  expect(parse(nested(1, `"\\\\",${nested(10_000)}`))).toBeNull();
});

test("a string without an end is not JSON", () => {
  expect(parse(`{"a":"${"[".repeat(20_000)}`)).toBeNull();
});
