import { parseAllDocuments } from "yaml";
import * as LIMITS from "../system-limits.ts";

/**
 * The values of a YAML text's documents, without empty ones. Every scalar is a text, so that a version keeps its digits.
 * @throws SyntaxError, whose message quotes nothing, also for a mapping that has a key twice
 */
export function parseYaml(bytes: Uint8Array): readonly unknown[] {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const documents = parseAllDocuments(text, {
      schema: "failsafe",
      prettyErrors: false,
      logLevel: "silent",
    });
    if (!Array.isArray(documents)) return [];
    const isBad =
      documents.length > LIMITS.yamlDocuments || documents.some(({ errors }) => errors.length > 0);
    if (!isBad)
      return documents.map((it) => it.toJS({ maxAliasCount: LIMITS.yamlAliases })).filter((it) => it !== "");
  } catch {
    // The parser's own message quotes the text.
  }
  throw new SyntaxError("not valid YAML");
}
