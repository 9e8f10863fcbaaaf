import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { wholeMatch } from "../../../../src/trust/policy/regexp.ts";

test("an expression matches all of a text", () => {
  expect(wholeMatch("a|b", "x").test("ab")).toBe(false);
  expect(wholeMatch(".*@example\\.com", "x").test("me@example.com")).toBe(true);
  expect(wholeMatch(".*@example\\.com", "x").test("me@example.com.evil.test")).toBe(false);
  expect(wholeMatch("(?i)ABC", "x").test("abc")).toBe(true);
});

test("a backslash may precede any punctuation, as in Go", () => {
  expect(wholeMatch("a\\-b\\@c\\_\\:", "x").test("a-b@c_:")).toBe(true);
  const inClass = wholeMatch("[a\\-c\\@]+", "x");
  expect(inClass.test("a-c@")).toBe(true);
  expect(inClass.test("b")).toBe(false);
  expect(wholeMatch("\\\\-", "x").test("\\-")).toBe(true);
});

test.each([
  ["(a)\\1", "backreferences"],
  ["(?=a)", "look-around"],
  ["(?<!a)b", "look-around"],
  ["(?i:a)b", "flags of groups"],
  ["[[:alpha:]]", "POSIX"],
  ["(?<n>a)\\k<n>", "backreferences"],
  ["(", "not a valid"],
  [")(", "not a valid"],
  ["a)|(b", "not a valid"],
  ["a\\z", "not a valid"],
  ["a\\é", "not a valid"],
  ["a".repeat(513), "513|512"],
  ["a{4097}", "steps"],
  ["((a{100}){100}){100}", "steps"],
])("%s is refused", (text, why) => {
  expect(() => wholeMatch(text, "--x")).toThrow(new RegExp(`--x can't be used: .*(?:${why})`));
});

test("a repetition of nothing has no steps", () => {
  expect(wholeMatch("(?:){0,5000}a", "x").test("a")).toBe(true);
  expect(wholeMatch("a(?:)*", "x").test("a")).toBe(true);
});

test("an expression may have 512 characters, and 4,096 steps when repetitions are written out", () => {
  for (const text of ["a".repeat(512), "a{4096}", "(?:ab?c){1024}"]) wholeMatch(text, "x");
});

describe("a text that would make JavaScript's engine go back over it for ages", () => {
  const long = `${"a".repeat(1000)}!`;
  test.each(["(a+)+", "(a|a)*", "(a|aa)+", "(.*)*b", `${".*".repeat(200)}b`, "(a?){500}", "(a*)*"])(
    "%s does not match it",
    (text) => expect(wholeMatch(text, "x").test(long)).toBe(false),
  );
});

/** Expressions of a small alphabet, with everything that nests or repeats. */
const { expression } = fc.letrec<{ expression: string; atom: string }>((tie) => ({
  atom: fc.oneof(
    // JavaScript's engine takes minutes for deeper repetitions of repetitions.
    { depthSize: "small", maxDepth: 2, withCrossShrink: true },
    fc.constantFrom(
      "a",
      "b",
      "B",
      ".",
      "[ab]",
      "[^a]",
      "\\w",
      "\\W",
      "\\x61",
      "\\u{62}",
      "\\p{Lu}",
      "\\.",
      "ſ",
      "😀",
    ),
    tie("expression").map((it) => `(${it})`),
    tie("expression").map((it) => `(?:${it})`),
  ),
  expression: fc
    .array(
      fc.oneof(
        fc
          .tuple(
            tie("atom"),
            fc.constantFrom("", "*", "+", "?", "*?", "{2}", "{0}", "{1,}", "{0,2}", "{1,3}?"),
          )
          .map((it) => it.join("")),
        fc.constantFrom("^", "$", "\\b", "\\B", "|"),
      ),
      { maxLength: 4 },
    )
    .map((it) => it.join("")),
}));

test("repeating nothing takes no time", () => {
  expect(wholeMatch("(){1000000000}a", "x").test("a")).toBe(true);
});

test.each(["", "(?i)"])("JavaScript's engine gives the same answer %s", (flag) => {
  const text = fc.string({
    unit: fc.constantFrom("a", "b", "A", "B", "S", ".", " ", "\n", "😀"),
    maxLength: 6,
  });
  fc.assert(
    fc.property(expression, fc.array(text, { minLength: 5, maxLength: 5 }), (source, texts) => {
      const same = new RegExp(`^(?:${source})$`, flag === "" ? "u" : "iu");
      const regexp = wholeMatch(`${flag}${source}`, "x");
      for (const it of texts) expect([source, it, regexp.test(it)]).toEqual([source, it, same.test(it)]);
    }),
    { numRuns: 2000 },
  );
});
