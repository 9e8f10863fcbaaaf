/** JSON as Go's encoding/json reads it into a struct: what the peers write for each other is read by these rules. */

import { decodeUtf8 } from "./utf8.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A struct's field: the case of its name is ignored, and of several the last one counts. Undefined if there is none. */
export function goField(value: unknown, name: string): unknown {
  if (!isObject(value)) return undefined;
  const wanted = name.toLowerCase();
  let found: unknown;
  for (const key of Object.keys(value)) {
    if (key === name || key.toLowerCase() === wanted) found = value[key];
  }
  return found;
}

/** The object that a JSON text holds, or null. Never the parser's message: it quotes its input, which may be secret. */
export function parseJsonObject(bytes: Uint8Array): JsonObject | null {
  try {
    const value: unknown = JSON.parse(decodeUtf8(bytes));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
