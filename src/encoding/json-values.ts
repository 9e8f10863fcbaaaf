/** Limits the values of JSON before it is parsed. An empty object is two bytes of text, but some hundred in memory. */
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";

const [COMMA, LIST, OBJECT, QUOTE, BACKSLASH] = [0x2c, 0x5b, 0x7b, 0x22, 0x5c];

/**
 * An upper bound of the values in JSON: each but the outermost follows a comma, or begins a list or an object. Strings are
 * skipped: a label of an image may hold whole documents.
 */
export function mostValues(bytes: Uint8Array): number {
  let count = 1;
  let isString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === BACKSLASH) at += 1;
    else if (byte === QUOTE) isString = !isString;
    else if (!isString && (byte === COMMA || byte === LIST || byte === OBJECT)) count += 1;
  }
  return count;
}

/** @param name of the document, for messages. @throws DecoderError LIMIT */
export function checkValues(bytes: Uint8Array, name: string): void {
  if (bytes.length <= LIMITS.jsonValues || mostValues(bytes) <= LIMITS.jsonValues) return;
  throw new DecoderError("LIMIT", `${name} has more than ${LIMITS.jsonValues} values`);
}
