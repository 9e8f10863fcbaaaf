import { FLAGS } from "../decoder/flags.ts";
import { DecoderError } from "../errors.ts";
import { Output } from "../io/output.ts";
import { parseArguments } from "./arguments.ts";
import { COMMANDS } from "./commands.ts";
import { commandHelp, programHelp } from "./help.ts";
import { didYouMean } from "./suggest.ts";
import { VERSION } from "./version.ts";

const HELP = /^--?(h|help)$/;
const VERSION_FLAG = /^--?version$/;

/**
 * The commands for people, and what the decoder's own `--help` and `--version` print.
 * @throws DecoderError, all of which `exit.ts` words
 */
export async function run(argv: readonly string[]): Promise<void> {
  const [first = "--help", ...rest] = argv;
  if (first === "version") return print(overview(["--version"]));
  if (first.startsWith("-") || first === "help") return print(overview(first === "help" ? rest : argv));
  const command = COMMANDS.find(({ name }) => name === first);
  if (command === undefined) throw unknownCommand(first);
  const options = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (options.some((arg) => HELP.test(arg))) return print(commandHelp(command));
  await command.run(parseArguments(command, rest));
}

function overview(args: readonly string[]): string {
  if (args.some((arg) => VERSION_FLAG.test(arg))) return `ctd-decoder ${VERSION}\n`;
  const command = COMMANDS.find(({ name }) => args.includes(name));
  return command === undefined ? programHelp(COMMANDS) : commandHelp(command);
}

function print(text: string): void {
  new Output(1, "standard output").write(Buffer.from(text));
}

function unknownCommand(name: string): DecoderError {
  const names = COMMANDS.map((command) => command.name);
  return new DecoderError("USAGE", `there is no command "${name}"${didYouMean(name, names)}`, {
    hint: commandsHint(),
  });
}

/** A decoder call's wrong usage, with what a flag that there is not may have been meant to be. */
export function wrongUsage(error: DecoderError, args: readonly string[]): DecoderError {
  const names = [...FLAGS.keys()].map((name) => `--${name}`);
  const [meant = ""] = args
    .map((arg) => /^--?([^=]+)/.exec(arg)?.[1] ?? "")
    .filter((name) => name !== "" && !FLAGS.has(name))
    .map((name) => didYouMean(`--${name}`, names));
  if (meant === "" || error.hint === undefined) return error;
  return new DecoderError("USAGE", error.message + meant, { hint: error.hint });
}

/** For who calls the decoder by hand. */
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
