import type { Options as ParserOptions } from "yargs-parser";
import Parser from "yargs-parser/browser";
import { DecoderError } from "../errors.ts";
import { didYouMean } from "../spelling.ts";
import { Arguments } from "./arguments.ts";
import { type Command, dashed, type Options } from "./command.ts";
import { usage } from "./help.ts";

/** skopeo's name of an option → the name here. */
const SKOPEO_OPTIONS: ReadonlyMap<string, string> = new Map([
  ["encryption-key", "recipient"],
  ["decryption-key", "key"],
  ["encrypt-layer", "layer"],
]);

/**
 * yargs' parser reads the words. Its strictness is not used: it passes `--quiet=maybe`, and its messages name an unknown
 * option without a suggestion.
 * @param args what follows the command's name. @throws DecoderError USAGE
 */
export function parseArguments(command: Command, args: readonly string[]): Arguments {
  const { argv, error } = Parser.detailed([...args], grammar(command));
  const { _: words, ...options } = argv;
  const operands = words.map(String);
  const values = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) values.set(name, (Array.isArray(value) ? value : [value]).map(String));
  }
  const problem =
    error?.message ??
    optionProblem(command.options, values) ??
    switchProblem(command.options, args) ??
    operandProblem(command, operands);
  if (problem === undefined) return new Arguments(values, operands);
  throw new DecoderError("USAGE", problem, {
    hint: `usage: ${usage(command)}; see ctd-decoder ${command.name} --help`,
  });
}

/** The operands of a line that may have wrong options. An unknown option takes the word after it as its value. */
export function operandsOf(command: Command, args: readonly string[]): string[] {
  return Parser.detailed([...args], grammar(command)).argv._.map(String);
}

/** The parser takes its messages' translation, too. It has one message: an option lacks its value. */
interface Wording {
  readonly __: (message: string, name: string) => string;
}

function grammar({ options }: Command): ParserOptions & Wording {
  const all = Object.entries(options);
  const valued = all.flatMap(([name, { value }]) => (value === undefined ? [] : name));
  return {
    string: valued,
    boolean: all.flatMap(([name, { value }]) => (value === undefined ? name : [])),
    narg: Object.fromEntries(valued.map((name) => [name, 1])),
    alias: Object.fromEntries(
      all.flatMap(([name, { alias }]) => (alias === undefined ? [] : [[name, alias]])),
    ),
    __: (_message, name) => `${dashed(name)} needs a value`,
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

function optionProblem(options: Options, values: ReadonlyMap<string, readonly string[]>): string | undefined {
  const unknown = [...values.keys()]
    .filter((name) => !Object.hasOwn(options, name))
    .map((name) => `${dashed(name)}${suggestion(name, options)}`);
  if (unknown.length > 0) return `unknown option${unknown.length > 1 ? "s" : ""} ${unknown.join(", ")}`;
  for (const [name, { choices }] of Object.entries(options)) {
    const wrong = values.get(name)?.find((value) => choices?.includes(value) === false);
    if (wrong !== undefined) return `--${name} takes ${either(choices ?? [])}, not "${wrong}"`;
  }
  return undefined;
}

/** The parser reads each value of a switch but "true" as false. */
function switchProblem(options: Options, args: readonly string[]): string | undefined {
  const end = args.indexOf("--");
  for (const arg of end < 0 ? args : args.slice(0, end)) {
    const [, name = "", value = ""] = /^--([^=]+)=(.*)$/s.exec(arg) ?? [];
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (option !== undefined && option.value === undefined && value !== "true" && value !== "false")
      return `--${name} takes true or false, not "${value}"`;
  }
  return undefined;
}

function operandProblem({ operands: wanted }: Command, operands: readonly string[]): string | undefined {
  const [missing, extra] = [wanted[operands.length], operands[wanted.length]];
  if (extra !== undefined) return `unexpected argument "${extra}"`;
  return missing === undefined || missing.optional ? undefined : `${missing.name} is missing`;
}

function suggestion(name: string, options: Options): string {
  const here = SKOPEO_OPTIONS.get(name);
  if (here !== undefined && Object.hasOwn(options, here)) return ` (did you mean --${here}?)`;
  const known = Object.entries(options).flatMap(([long, { alias = [] }]) => [long, alias].flat());
  return didYouMean(dashed(name), known.map(dashed));
}

/** "keep, gzip or none" */
function either(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
