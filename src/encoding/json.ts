import * as LIMITS from "../limits.ts";
import { decodeUtf8 } from "./bytes.ts";

/** JSON by the rules of Go's encoding/json, which the peers' documents rely on. */

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A field of a Go struct: the name's case is ignored, and the last duplicate wins. Undefined when absent. */
export function goField(value: unknown, name: string): unknown {
  if (!isObject(value)) return undefined;
  const wanted = name.toLowerCase();
  let found: unknown;
  for (const key of Object.keys(value)) {
    if (key === name || key.toLowerCase() === wanted) found = value[key];
  }
  return found;
}

/** Parses a JSON object; null for anything else. The parser's message is dropped: it quotes its input, which may be secret. */
export function parseJsonObject(bytes: Uint8Array): JsonObject | null {
  if (bytes.length > LIMITS.jsonNesting && isTooDeep(bytes)) return null;
  try {
    const value: unknown = JSON.parse(decodeUtf8(bytes));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Whether lists and objects are nested deeper than Go's parser reads. Each level takes this parser memory and time. */
function isTooDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) at = endOfString(bytes, at);
    else if (byte === 0x5b || byte === 0x7b) depth += 1;
    else if (byte === 0x5d || byte === 0x7d) depth -= 1;
    if (depth > LIMITS.jsonNesting) return true;
  }
  return false;
}

/** The index of the quote that ends a string, or the end of the bytes. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start + 1); end >= 0; end = bytes.indexOf(QUOTE, end + 1)) {
    let escapes = end;
    while (bytes[escapes - 1] === BACKSLASH) escapes -= 1;
    if ((end - escapes) % 2 === 0) return end;
  }
  return bytes.length;
}
