import fc from "fast-check";
import { expect, test } from "vitest";
import { jsonFault } from "../../../src/encoding/json-fault.ts";

/** Where Node's JSON.parse finds the fault. For some it does not say, and Bun's never does. */
function faultByNode(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    const [, line, column] = /\(line (\d+) column (\d+)\)/.exec((error as Error).message) ?? [];
    return line && `line ${line}, column ${column}`;
  }
}

test.each([
  [
    "a comma after the last member",
    '{\n  "default": [\n    { "type": "reject", }\n  ]\n}',
    "line 3, column 25",
  ],
  ["no comma between two members", '{"a": 1\n "b": 2}', "line 2, column 2"],
  ["no colon", '{"a" 1}', "line 1, column 6"],
  ["a colon in a list", '["a": 1]', "line 1, column 5"],
  ["a comment", "{\n// all\n}", "line 2, column 1"],
  ["a name without quotes", "{a: 1}", "line 1, column 2"],
  ["another bracket", '{"a": [1}', "line 1, column 9"],
  ["two values", "{}\n{}", "line 2, column 1"],
  ["a comma outside", "1,", "line 1, column 2"],
])("%s is found where Node finds it", (_what, text, place) => {
  expect(jsonFault(text)).toBe(place);
  expect(faultByNode(text)).toBe(place);
});

test.each([
  ["a comma after the last item", "[\n1,\n]", "line 3, column 1"],
  ["a word", "[True]", "line 1, column 2"],
  ["a comma first", "[,1]", "line 1, column 2"],
  ["an end that is missing", '{"a": [1', "line 1, column 9"],
  ["nothing", "", "line 1, column 1"],
  ["an open string", '{"a":\n "b}', "line 2, column 2"],
  ["a line end in a string", '["a\nb"]', "line 1, column 2"],
  ["an unknown escape", '["\\x"]', "line 1, column 2"],
  ["a number with a leading zero", "[01]", "line 1, column 2"],
])("%s is found at the beginning of its token", (_what, text, place) => {
  expect(jsonFault(text)).toBe(place);
});

test("is found after a long string", () => {
  const name = JSON.stringify("x".repeat(8 << 20));
  expect(jsonFault(`{${name}}`)).toBe(`line 1, column ${name.length + 2}`);
});

test("is not looked for beyond 131,072 tokens", () => {
  expect(jsonFault("[".repeat(131_071))).toBe("line 1, column 131072");
  expect(jsonFault("[".repeat(131_072))).toBeUndefined();
});

test("in any sequence of tokens it is found where Node finds it, if Node says where", () => {
  const token = fc.constantFrom("{", "}", "[", "]", ",", ":", "1", '"a"', "null");
  const space = fc.constantFrom("", " ", "\n");
  fc.assert(
    fc.property(fc.array(fc.tuple(token, space), { maxLength: 12 }), (tokens) => {
      // Numbers and words need something between them.
      const text = tokens.map(([it, after]) => it + (/\w$/.test(it) ? after || " " : after)).join("");
      const place = faultByNode(text);
      fc.pre(place !== undefined);
      expect(jsonFault(text)).toBe(place);
    }),
    { numRuns: 2000 },
  );
});
