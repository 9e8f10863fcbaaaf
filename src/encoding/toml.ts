import { parse, TomlError } from "smol-toml";

/**
 * A TOML document's table.
 * @param source UTF-8, or its text
 * @throws SyntaxError, whose message quotes nothing: a configuration may hold passwords
 */
export function parseToml(source: Uint8Array | string): Readonly<Record<string, unknown>> {
  try {
    return parse(
      typeof source === "string" ? source : new TextDecoder("utf-8", { fatal: true }).decode(source),
    );
  } catch (error) {
    const where = error instanceof TomlError ? ` in line ${error.line}, column ${error.column}` : "";
    throw new SyntaxError(`not valid TOML${where}`);
  }
}
