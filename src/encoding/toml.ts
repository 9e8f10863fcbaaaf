import { parse, TomlError } from "smol-toml";

/** Thrown for what is not TOML. The message quotes nothing, for a configuration may hold passwords. */
export class TomlProblem extends Error {
  override readonly name = "TomlProblem";
}

/** A TOML document's table. @throws TomlProblem */
export function parseToml(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    const where = error instanceof TomlError ? ` in line ${error.line}, column ${error.column}` : "";
    throw new TomlProblem(`not valid TOML${where}`);
  }
}
