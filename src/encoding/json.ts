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
  try {
    const value: unknown = JSON.parse(decodeUtf8(bytes));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
