import { parse, TomlError } from "smol-toml";

/** Thrown for what is not TOML. The message quotes nothing, for a configuration may hold passwords. */
export class TomlProblem extends Error {
  override readonly name = "TomlProblem";
}

/** A TOML document's table. @param source UTF-8, or its text. @throws TomlProblem */
export function parseToml(source: Uint8Array | string): Readonly<Record<string, unknown>> {
  try {
    return parse(
      typeof source === "string" ? source : new TextDecoder("utf-8", { fatal: true }).decode(source),
    );
  } catch (error) {
    const where = error instanceof TomlError ? ` in line ${error.line}, column ${error.column}` : "";
    throw new TomlProblem(`not valid TOML${where}`);
  }
}
