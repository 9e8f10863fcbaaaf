import { isAbsolute, resolve } from "node:path";
import { DecoderError } from "../errors.ts";

/** The options and operands of one command line, already checked against the command's description. */
export class Arguments {
  readonly #values: ReadonlyMap<string, readonly string[]>;
  readonly #operands: readonly string[];

  constructor(values: ReadonlyMap<string, readonly string[]>, operands: readonly string[]) {
    this.#values = values;
    this.#operands = operands;
  }

  operand(position: number): string {
    const operand = this.#operands[position];
    if (operand === undefined) throw new Error(`bug: there is no operand ${position}`);
    return operand;
  }

  optionalOperand(position: number): string | undefined {
    return this.#operands[position];
  }

  /** The option's value. If it is repeated, the last one counts, as for the decoder's flags. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  /** A path on a node, whose working folder is not this process's. @throws DecoderError USAGE unless it is absolute */
  nodePath(name: string): string | undefined {
    const text = this.text(name);
    if (text === undefined || isAbsolute(text)) return text && resolve(text);
    throw new DecoderError(
      "USAGE",
      `--${name} takes a path on the node, which must be absolute, not "${text}"`,
    );
  }

  texts(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  flag(name: string): boolean {
    return this.text(name) === "true";
  }

  /** @throws DecoderError USAGE unless it is a whole number in the range */
  integer(name: string, least: number, most: number): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : toInteger(text, name, least, most);
  }

  /** Comma-separated whole numbers. @throws DecoderError USAGE */
  integers(name: string, least: number, most: number): number[] {
    const texts = this.texts(name).flatMap((text) => text.split(","));
    return texts.map((text) => toInteger(text.trim(), name, least, most));
  }
}

function toInteger(text: string, name: string, least: number, most: number): number {
  const number = /^-?\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new DecoderError("USAGE", `--${name} takes whole numbers from ${least} to ${most}, not "${text}"`);
}
