import yargs, { type Options as YargsOptions } from "yargs";
import { DecoderError } from "../errors.ts";
import type { Command, Option } from "./command.ts";

/** What stands on a command's line, checked against its options. */
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

  /** Of a repeated option that is to be given once, the last counts, as for the decoder's flags. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  texts(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  flag(name: string): boolean {
    return this.text(name) === "true";
  }

  /** @throws DecoderError USAGE for what is no whole number in the range */
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

/** @param args what follows the command's name. @throws DecoderError USAGE */
export async function parseArguments(command: Command, args: readonly string[]): Promise<Arguments> {
  const hint = `see ctd-decoder ${command.name} --help`;
  const parser = yargs([...args])
    .help(false)
    .version(false)
    .exitProcess(false)
    .detectLocale(false)
    .strictOptions()
    .parserConfiguration({
      "boolean-negation": false,
      "camel-case-expansion": false,
      "dot-notation": false,
      "duplicate-arguments-array": true,
      "greedy-arrays": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "strip-aliased": true,
    })
    .fail((message) => {
      throw new DecoderError("USAGE", lowerFirst(message ?? "the arguments can't be understood"), { hint });
    });
  for (const [name, option] of Object.entries(command.options)) parser.option(name, toYargs(option));
  const { _: operands, $0: _script, ...options } = await parser.parseAsync();
  checkOperands(command, operands.length, hint);
  const values = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) values.set(name, (Array.isArray(value) ? value : [value]).map(String));
  }
  return new Arguments(values, operands.map(String));
}

function toYargs({ value, alias, choices }: Option): YargsOptions {
  return {
    type: value === undefined ? "boolean" : "string",
    requiresArg: value !== undefined,
    ...(alias !== undefined && { alias }),
    ...(choices !== undefined && { choices }),
  };
}

function checkOperands({ operands }: Command, count: number, hint: string): void {
  const names = operands.map(({ name }) => name).join(" ");
  const missing = operands[count];
  if (count > operands.length) {
    const expected = operands.length === 0 ? "nothing but options" : names;
    throw new DecoderError("USAGE", `there are ${count} arguments, and what is wanted is ${expected}`, {
      hint,
    });
  }
  if (missing !== undefined && !missing.optional) {
    throw new DecoderError("USAGE", `${missing.name} is missing; what is wanted is ${names}`, { hint });
  }
}

function toInteger(text: string, name: string, least: number, most: number): number {
  const number = /^-?\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new DecoderError("USAGE", `--${name} takes whole numbers from ${least} to ${most}, not "${text}"`);
}

/** Messages of this program start in lower case. */
function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1).replace(/\n+/g, "; ");
}
