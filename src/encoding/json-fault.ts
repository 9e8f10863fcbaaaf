/** A token of RFC 8259 after its white space: punctuation, a string, or another scalar. */
const TOKEN =
  /[ \t\n\r]*(?:([[\]{},:])|("[ !#-[\]-\u{10ffff}]*(?:\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4})[ !#-[\]-\u{10ffff}]*)*")|(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-]))/uy;
const SPACE = /[ \t\n\r]*/y;

/** What may come next. */
type Expected = "value" | "value or ]" | "name" | "name or }" | ":" | ", or end";

/** @param text that JSON.parse refused. @returns where it stops being JSON: "line 3, column 7", both from 1 */
export function jsonFault(text: string): string {
  const before = text.slice(0, faultAt(text)).split("\n");
  return `line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
}

function faultAt(text: string): number {
  /** The ends of the open objects and arrays. */
  const open: ("}" | "]")[] = [];
  let expected: Expected | undefined = "value";
  for (let at = 0; ; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text);
    SPACE.lastIndex = at;
    SPACE.exec(text);
    if (token === null) return SPACE.lastIndex;
    expected = after(token[1] ?? (token[2] === undefined ? "scalar" : "string"), expected, open);
    if (expected === undefined) return SPACE.lastIndex;
  }
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
