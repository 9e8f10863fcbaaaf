/** JSON that has one meaning to every reader: UTF-8, no name twice in an object (RFC 8259 §4), bounded nesting. */
import * as LIMITS from "../system-limits.ts";
import { jsonFault } from "./json-fault.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Of a text that is known to be JSON: its strings and its punctuation. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/gs;

/** @throws SyntaxError, a clause for messages: `it has the name "a" twice`; it quotes nothing else of the input */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string | undefined;
  let value: unknown;
  try {
    text = UTF8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    const place = text === undefined ? undefined : jsonFault(text);
    throw new SyntaxError(place === undefined ? "it is not JSON" : `it is not JSON (${place})`);
  }
  refuseRepeatedNames(text);
  return value;
}

/** `JSON.parse` keeps the last of several members of one name, other readers the first. */
function refuseRepeatedNames(text: string): void {
  /** The names seen in each open object; null for an array. */
  const open: (Set<string> | null)[] = [];
  let string = "";
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "{" || token === "[") {
      if (open.length === LIMITS.jsonDepth)
        throw new SyntaxError(`it is nested more than ${LIMITS.jsonDepth} deep`);
      open.push(token === "{" ? new Set() : null);
    } else if (token === "}" || token === "]") {
      open.pop();
    } else if (token === ":") {
      const name: string = JSON.parse(string);
      const names = open.at(-1);
      if (names?.has(name)) throw new SyntaxError(`it has the name ${JSON.stringify(name)} twice`);
      names?.add(name);
    } else string = token;
  }
}
