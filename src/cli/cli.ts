import { FLAGS, isFlag } from "../decoder/flags.ts";
import { DecoderError } from "../errors.ts";
import { Output } from "../io/output.ts";
import { commandOf, wordsOf } from "./command.ts";
import { COMMAND_GROUPS, COMMANDS } from "./commands.ts";
import { commandHelp, programHelp, VERSION, wrap } from "./help.ts";
import { didYouMean, parseArguments } from "./parse.ts";
import { styleFor, USUAL_COLUMNS } from "./style.ts";
import { Ui } from "./ui.ts";

const HELP = /^--?(h|help)$/;
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
  const writesLayer = command?.writesLayer ?? false;
  let ui = new Ui({ isJson: options.includes("--json"), writesLayer });
  try {
    if (command === undefined) throw unknownCommand(first, rest);
    if (options.some((arg) => HELP.test(arg))) return print(commandHelp(command));
    const args = parseArguments(command, argv.slice(wordsOf(command)));
    ui = new Ui({ isJson: args.flag("json"), isQuiet: args.flag("quiet"), writesLayer });
    await command.run(args, ui);
  } catch (error) {
    isReported = ui.fail(error);
    throw error;
  }
}

function overview(args: readonly string[]): string {
  if (args.some((arg) => VERSION_FLAG.test(arg))) return `ctd-decoder ${VERSION}\n`;
  const command = commandOf(args, COMMANDS) ?? COMMANDS.find(({ name }) => args.includes(name));
  return command === undefined ? programHelp(COMMAND_GROUPS) : commandHelp(command);
}

function print(text: string): void {
  new Output(1, "standard output").write(Buffer.from(text));
}

/** A group's first word alone, as "trust", names no command. */
function unknownCommand(first: string, [second]: readonly string[]): DecoderError {
  const members = COMMANDS.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
  const isGroup = members.length > 0;
  if (isGroup && (second === undefined || second.startsWith("-"))) {
    return new DecoderError("USAGE", `"${first}" is a group of commands`, {
      hint: `they are ${members.join(", ")}`,
    });
  }
  const name = isGroup ? `${first} ${second}` : first;
  const names = COMMANDS.map((it) => it.name);
  return new DecoderError("USAGE", `there is no command "${name}"${didYouMean(name, names)}`, {
    hint: commandsHint(),
  });
}

const CONTINUATION = "\n  ";

/** An error for standard error: on a terminal in colour and broken between words, elsewhere a line each. */
export function layOutError(message: string, hint: string | undefined): string {
  if (isReported) return "";
  const { stderr, env } = process;
  const label = styleFor(stderr, env).bad("error");
  const columns = stderr.isTTY
    ? (stderr.columns || USUAL_COLUMNS) - CONTINUATION.length
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
