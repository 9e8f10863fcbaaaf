import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../system-limits.ts";
import { LinearRegExp } from "./linear-regexp.ts";

/** What Go's RE2 lacks (backreferences, look-around), what it reads otherwise than JavaScript (POSIX classes), and flags of groups. */
const UNSUPPORTED = /\\[1-9]|\\k<|\(\?(?!:|<[^=!])|\[\[?:/;
/** RE2's flags for the whole expression; `i` is the one that JavaScript has. */
const IGNORE_CASE = "(?i)";

/** RE2 takes a backslash before all of ASCII's punctuation, JavaScript only before its own syntax. */
const ESCAPED = /\\([\s\S])/g;
const NOT_SYNTAX = /[!"#%&',:;<=>@_`~-]/;

/**
 * An expression that must match a whole text. RE2 searches for a part; anchoring keeps `https://example.com/` from
 * matching `https://evil.test/?https://example.com/`.
 * @param option what it was given as, for messages
 * @throws DecoderError CONFIG
 */
export function wholeMatch(text: string, option: string): LinearRegExp {
  const isFolded = text.startsWith(IGNORE_CASE);
  const expression = isFolded ? text.slice(IGNORE_CASE.length) : text;
  const body = expression.replace(ESCAPED, (written, character: string) =>
    NOT_SYNTAX.test(character) ? `\\x${character.charCodeAt(0).toString(16)}` : written,
  );
  if (text.length > LIMITS.policyRegexpChars)
    throw bad(option, `it has more than ${LIMITS.policyRegexpChars} characters`);
  if (UNSUPPORTED.test(body))
    throw bad(option, "backreferences, look-around, flags of groups and POSIX classes are not supported");
  const flags = isFolded ? "iu" : "u";
  if (!isExpression(body, flags)) throw bad(option, "it is not a valid regular expression");
  try {
    return new LinearRegExp(body, flags);
  } catch (error) {
    if (error instanceof SyntaxError) throw bad(option, error.message);
    throw error;
  }
}

function isExpression(text: string, flags: string): boolean {
  try {
    return new RegExp(text, flags).flags === flags;
  } catch {
    return false;
  }
}

function bad(option: string, why: string): DecoderError {
  return new DecoderError("CONFIG", `the regular expression of ${option} can't be used: ${why}`);
}
