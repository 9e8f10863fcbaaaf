import { Parser } from "yargs/helpers";
import { DecoderError } from "../errors.ts";
import type { Command } from "./command.ts";
import { usage } from "./help.ts";
import { didYouMean } from "./suggest.ts";

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
export function parseArguments(command: Command, args: readonly string[]): Arguments {
  const { argv, error } = Parser.detailed([...args], grammar(command));
  const { _: operands, ...options } = argv;
  const values = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) values.set(name, (Array.isArray(value) ? value : [value]).map(String));
  }
  const problem = error?.message ?? problemOf(command, values, operands.map(String));
  if (problem === undefined) return new Arguments(values, operands.map(String));
  throw new DecoderError("USAGE", problem, {
    hint: `usage: ${usage(command)}; see ctd-decoder ${command.name} --help`,
  });
}

/** yargs' parser takes this too: how its own messages are to be worded, of which there is one, of a missing value. */
interface Wording {
  readonly __: (message: string, name: string) => string;
}

function grammar({ options }: Command): Parser.Options & Wording {
  const all = Object.entries(options);
  const valued = all.flatMap(([name, { value }]) => (value === undefined ? [] : name));
  return {
    string: valued,
    boolean: all.flatMap(([name, { value }]) => (value === undefined ? name : [])),
    narg: Object.fromEntries(valued.map((name) => [name, 1])),
    alias: Object.fromEntries(
      all.flatMap(([name, { alias }]) => (alias === undefined ? [] : [[name, alias]])),
    ),
    __: (_message, name) => `--${name} needs a value`,
    configuration: {
      "boolean-negation": false,
      "camel-case-expansion": false,
      "dot-notation": false,
      "duplicate-arguments-array": true,
      "greedy-arrays": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "strip-aliased": true,
    },
  };
}

/** What is wrong with them, if anything is. */
function problemOf(
  { options, operands: wanted }: Command,
  values: ReadonlyMap<string, readonly string[]>,
  operands: readonly string[],
): string | undefined {
  const known = Object.entries(options).flatMap(([name, { alias = [] }]) => [name, alias].flat().map(dashed));
  const unknown = [...values.keys()]
    .filter((name) => !Object.hasOwn(options, name))
    .map((name) => `${dashed(name)}${didYouMean(dashed(name), known)}`);
  if (unknown.length > 0) return `unknown option${unknown.length > 1 ? "s" : ""} ${unknown.join(", ")}`;
  for (const [name, { choices }] of Object.entries(options)) {
    const wrong = values.get(name)?.find((value) => choices?.includes(value) === false);
    if (wrong !== undefined) return `--${name} takes ${either(choices ?? [])}, not "${wrong}"`;
  }
  const [missing, extra] = [wanted[operands.length], operands[wanted.length]];
  if (extra !== undefined) return `unexpected argument "${extra}"`;
  return missing === undefined || missing.optional ? undefined : `${missing.name} is missing`;
}

function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** "keep, gzip or none" */
function either(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

function toInteger(text: string, name: string, least: number, most: number): number {
  const number = /^-?\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new DecoderError("USAGE", `--${name} takes whole numbers from ${least} to ${most}, not "${text}"`);
}
