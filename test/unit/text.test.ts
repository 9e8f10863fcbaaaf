import { describe, expect, test } from "vitest";
import { printable, printableJson } from "../../src/text.ts";

const UNPRINTABLE: readonly (readonly [what: string, text: string])[] = [
  ["C0: escape", "\u001b"],
  ["C0: carriage return and line feed", "\r\n"],
  ["NUL", "\0"],
  ["DEL", "\u007f"],
  ["C1: control sequence introducer", "\u009b"],
  ["C1: next line", "\u0085"],
  ["right-to-left override", "\u202e"],
  ["right-to-left isolate", "\u2067"],
  ["right-to-left mark", "\u200f"],
  ["zero-width space", "\u200b"],
  ["zero-width joiner", "\u200d"],
  ["byte order mark", "\ufeff"],
  ["soft hyphen", "\u00ad"],
  ["line separator", "\u2028"],
  ["paragraph separator", "\u2029"],
  ["a tag character", "\u{e0041}"],
  ["a variation selector", "\ufe0f"],
  ["a Hangul filler", "\u3164"],
  ["private use", "\ue000"],
  ["unassigned", "\u0378"],
  ["a noncharacter", "\uffff"],
  ["a lone high surrogate", "\ud83d"],
  ["a lone low surrogate", "\ude00"],
];

describe("printable", () => {
  test.each(UNPRINTABLE)("%s becomes a space", (_what, text) => {
    expect(printable(`a${text}b`)).toBe("a b");
    expect(printable(`a${text}${text}\u001b${text}b`)).toBe("a b");
  });

  test.each([
    "plain ASCII ~!",
    "ü ñ 漢字 עברית العربية",
    "emoji 😀",
    "e\u0301 combining",
    "no-break\u00a0space",
  ])("%s stays", (text) => expect(printable(text)).toBe(text));

  test("a long text is cut, and a cut pair leaves no half", () => {
    expect(printable("12345", 5)).toBe("12345");
    expect(printable("123456", 5)).toBe("12345…");
    expect(printable("1234😀", 5)).toBe("1234 …");
    expect(printable("123\u202e45", 4)).toBe("123 …");
  });
});

describe("printableJson", () => {
  test.each(UNPRINTABLE)("%s is escaped, and comes back", (_what, text) => {
    const value = { [`k${text}`]: [`a${text}b`, text] };
    const json = printableJson(value);
    expect(json).toBe(printable(json));
    expect(JSON.parse(json)).toEqual(value);
  });

  test("indented lines stay lines", () => {
    const value = { a: "x\u202ey", b: [1] };
    expect(printableJson(value, 2)).toBe('{\n  "a": "x\\u202ey",\n  "b": [\n    1\n  ]\n}');
  });
});
