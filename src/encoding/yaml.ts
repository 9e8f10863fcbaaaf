import { parseAllDocuments } from "yaml";
import * as LIMITS from "../system-limits.ts";

/**
 * The values of a YAML text's documents, without empty ones. Every scalar is a text, so that a version keeps its digits.
 * @throws SyntaxError, whose message quotes nothing, also for a mapping that has a key twice, and for a tag of another type
 * than text, list or mapping: `!!omap` would become a Map, which has no fields
 */
export function parseYaml(bytes: Uint8Array): readonly unknown[] {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const documents = parseAllDocuments(text, {
      schema: "failsafe",
      resolveKnownTags: false,
      prettyErrors: false,
      logLevel: "silent",
    });
    if (!Array.isArray(documents)) return [];
    const isBad =
      documents.length > LIMITS.yamlDocuments ||
      documents.some(({ errors, warnings }) => errors.length + warnings.length > 0);
    // The library also counts the anchor.
    const maxAliasCount = LIMITS.yamlAliases + 1;
    if (!isBad) return documents.map((it) => it.toJS({ maxAliasCount })).filter((it) => it !== "");
  } catch {
    // The parser's own message quotes the text.
  }
  throw new SyntaxError("not valid YAML");
}
