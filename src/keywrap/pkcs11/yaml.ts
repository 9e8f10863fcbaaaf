import { parseDocument } from "yaml";
import { isObject } from "../../encoding/json.ts";

/** A list that is written once and used twice is fine; each use multiplies, so that more is an attack. */
const ALIASES = 16;

/**
 * The mapping a YAML text holds, or null. Every scalar is text, so that a PIN or a version keeps its digits. The
 * parser's own messages quote the text, which may hold a PIN: they go nowhere.
 */
export function parseYamlMapping(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const document = parseDocument(text, { schema: "failsafe", prettyErrors: false, logLevel: "silent" });
    // Of several documents the peers read the first.
    if (document.errors.some((error) => error.code !== "MULTIPLE_DOCS")) return null;
    const value: unknown = document.toJS({ maxAliasCount: ALIASES });
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** A list of texts; null stands for anything else, an absent or empty list for none. */
export function textList(value: unknown): readonly string[] | null {
  if (value === undefined || value === "") return [];
  if (!Array.isArray(value)) return null;
  return value.every((entry) => typeof entry === "string") ? value : null;
}
