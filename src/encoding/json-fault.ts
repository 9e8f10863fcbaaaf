import * as LIMITS from "../system-limits.ts";

/** A token of RFC 8259 after its white space: punctuation, a string, or another scalar. */
const TOKEN =
  /[ \t\n\r]*(?:([[\]{},:])|("[ !#-[\]-\u{10ffff}]*(?:\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4})[ !#-[\]-\u{10ffff}]*)*")|(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-]))/uy;
const SPACE = /[ \t\n\r]*/y;

/** What may come next. */
type Expected = "value" | "value or ]" | "name" | "name or }" | ":" | ", or end";

/**
 * @param text that JSON.parse refused
 * @returns where it stops being JSON: "line 3, column 7", both from 1; undefined if it has too many tokens before that
 */
export function jsonFault(text: string): string | undefined {
  const at = faultAt(text);
  if (at === undefined) return undefined;
  const before = text.slice(0, at).split("\n");
  return `line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
}

function faultAt(text: string): number | undefined {
  /** The ends of the open objects and arrays. */
  const open: ("}" | "]")[] = [];
  let expected: Expected | undefined = "value";
  TOKEN.lastIndex = 0;
  // A token takes far longer here than in JSON.parse, and an image's author may have written the text.
  for (let tokens = 0; tokens < LIMITS.jsonValues; tokens += 1) {
    SPACE.lastIndex = TOKEN.lastIndex;
    SPACE.exec(text);
    const token = TOKEN.exec(text);
    if (token === null) return SPACE.lastIndex;
    expected = after(token[1] ?? (token[2] === undefined ? "scalar" : "string"), expected, open);
    if (expected === undefined) return SPACE.lastIndex;
  }
  return undefined;
}

/** @returns what may come after the token; undefined when the token itself may not come */
function after(token: string, expected: Expected, open: ("}" | "]")[]): Expected | undefined {
  if (token === "string" && expected.startsWith("name")) return ":";
  if (token === ":") return expected === ":" ? "value" : undefined;
  if (token === ",") {
    if (expected !== ", or end" || open.length === 0) return undefined;
    return open.at(-1) === "}" ? "name" : "value";
  }
  if (token === "}" || token === "]") {
    const isExpected = open.at(-1) === token && (expected === ", or end" || expected.endsWith(`or ${token}`));
    open.pop();
    return isExpected ? ", or end" : undefined;
  }
  if (!expected.startsWith("value")) return undefined;
  if (token !== "{" && token !== "[") return ", or end";
  open.push(token === "{" ? "}" : "]");
  return token === "{" ? "name or }" : "value or ]";
}
