import { FLAGS, isFlag } from "../decoder/flags.ts";
import { DecoderError, errnoOf } from "../errors.ts";
import { didYouMean } from "../spelling.ts";
import { type Command, commandOf, wordsOf } from "./command.ts";
import { COMMAND_GROUPS, COMMANDS } from "./commands.ts";
import { commandHelp, groupHelp, programHelp, VERSION, wrap } from "./help.ts";
import { operandsOf, parseArguments } from "./parse.ts";
import { StandardStream } from "./standard-stream.ts";
import { styleFor, USUAL_COLUMNS } from "./style.ts";
import { Ui } from "./ui.ts";

const HELP = /^--?(h|help)$/;
/** "-", "oci-archive:-" and "docker-archive:-:NAME". */
const PIPE = /^(?:[a-z]+-archive:)?-(?::|$)/;
const VERSION_FLAG = /^--?version$/;

/** Whether standard error already holds the error as JSON. */
let isReported = false;

/**
 * Runs a command, or prints what `--help` and `--version` ask for.
 * @throws DecoderError, which exit.ts reports
 */
export async function run(argv: readonly string[]): Promise<void> {
  const [first = "--help", ...rest] = argv;
  if (first === "version") return print(overview(["--version"]));
  if (first.startsWith("-") || first === "help") return print(overview(first === "help" ? rest : argv));
  const options = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  const command = commandOf(argv, COMMANDS);
  const isPiped = command !== undefined && usesStandardOutput(command, argv);
  let ui = new Ui({ isJson: options.includes("--json"), isPiped });
  try {
    if (command === undefined) {
      if (rest.some((arg) => HELP.test(arg)) && groupOf(first).length > 0) return print(overview([first]));
      throw unknownCommand(first, rest);
    }
    if (options.some((arg) => HELP.test(arg))) return print(commandHelp(command));
    const args = parseArguments(command, argv.slice(wordsOf(command)));
    ui = new Ui({ isJson: args.flag("json"), isQuiet: args.flag("quiet"), isPiped });
    await command.run(args, ui);
  } catch (thrown) {
    const error = advised(thrown);
    isReported = ui.fail(error);
    throw error;
  }
}

/** Adds advice to an error about a missing permission, unless it has some. */
function advised(error: unknown): unknown {
  if (!(error instanceof DecoderError) || error.hint !== undefined) return error;
  const { code, message, cause } = error;
  if (errnoOf(cause) !== "EACCES") return error;
  return new DecoderError(code, message, {
    cause,
    hint: "run the command as a user who has this permission",
  });
}

/** Whether standard output holds what the command makes. The answer is also right for a line with wrong options. */
function usesStandardOutput(command: Command, argv: readonly string[]): boolean {
  if (command.pipes !== "to -") return command.pipes === "always";
  const operands = operandsOf(command, argv.slice(wordsOf(command)));
  const pipe = operands.findLastIndex((it) => PIPE.test(it));
  // An unknown option may have taken an operand for its value, so the last one counts wherever it is.
  return pipe >= 0 && (pipe === operands.length - 1 || pipe >= command.operands.length - 1);
}

function overview(args: readonly string[]): string {
  if (args.some((arg) => VERSION_FLAG.test(arg))) return `ctd-decoder ${VERSION}\n`;
  const command = commandOf(args, COMMANDS) ?? COMMANDS.find(({ name }) => args.includes(name));
  if (command !== undefined) return commandHelp(command);
  const [first = ""] = args;
  const members = groupOf(first);
  return members.length > 0 ? groupHelp(first, members) : programHelp(COMMAND_GROUPS);
}

function print(text: string): void {
  new StandardStream(1).write(text);
}

/** The commands whose first of two words this is. */
function groupOf(first: string): readonly Command[] {
  return COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
}

/** A group's first word alone, as "trust", names no command. */
function unknownCommand(first: string, [second]: readonly string[]): DecoderError {
  const members = groupOf(first).map(({ name }) => name);
  const isGroup = members.length > 0;
  if (isGroup && (second === undefined || second.startsWith("-"))) {
    return new DecoderError("USAGE", `"${first}" is a group of commands`, {
      hint: `they are ${members.join(", ")}; see ctd-decoder ${first} --help`,
    });
  }
  const name = isGroup ? `${first} ${second}` : first;
  const names = COMMANDS.map((it) => it.name);
  return new DecoderError("USAGE", `"${name}" is not a command${didYouMean(name, names)}`, {
    hint: commandsHint(),
  });
}

const CONTINUATION = "\n  ";

/** An error for standard error: on a terminal in colour and broken between words, elsewhere a line each. */
export function layOutError(message: string, hint: string | undefined): string {
  if (isReported) return "";
  const stderr = new StandardStream(2);
  const label = styleFor(stderr, process.env).bad("error");
  const columns = stderr.isTTY
    ? (stderr.columns ?? USUAL_COLUMNS) - CONTINUATION.length
    : Number.POSITIVE_INFINITY;
  const lines = (text: string) => `${wrap(`ctd-decoder: ${text}`, columns).join(CONTINUATION)}\n`;
  return (
    lines(`error: ${message}`).replace("error", label) + (hint === undefined ? "" : lines(`hint: ${hint}`))
  );
}

/** The error of a decoder call with wrong usage, with a suggestion for an unknown flag. */
export function wrongUsage(error: DecoderError, args: readonly string[]): DecoderError {
  const names = Object.keys(FLAGS).map((name) => `--${name}`);
  const [meant = ""] = args
    .map((arg) => /^--?([^=]+)/.exec(arg)?.[1] ?? "")
    .filter((name) => name !== "" && !isFlag(name))
    .map((name) => didYouMean(`--${name}`, names));
  if (meant === "" || error.hint === undefined) return error;
  return new DecoderError("USAGE", error.message + meant, { hint: error.hint });
}

/** The error of a decoder call by hand, with nothing on standard input. */
export function noLayer(): DecoderError {
  return new DecoderError(
    "USAGE",
    "without a command this decrypts one encrypted image layer for containerd, and standard input is a terminal",
    { hint: commandsHint() },
  );
}

function commandsHint(): string {
  return `the commands are ${COMMANDS.map(({ name }) => name).join(", ")}; see ctd-decoder --help`;
}
