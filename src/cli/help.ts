import { FLAGS } from "../decoder/flags.ts";
import type { Command, Option, Options } from "./command.ts";

const INDENT = "  ";
const COLUMNS = 80;
/** Beyond this an option's text starts on the next line. */
const TERM_COLUMNS = 28;

export const HELP: Option = { help: "print help", alias: "h" };

/** The decoder's own flags as commands have theirs. */
export const PROGRAM_FLAGS: Options = Object.fromEntries(
  [...FLAGS].map(([name, { help, value }]) => [name, { help, ...(value !== undefined && { value }) }]),
);

export const OTHER_FLAGS: Options = { help: HELP, version: { help: "print the version" } };

/** `ctd-decoder --help` */
export function programHelp(commands: readonly Command[]): string {
  return sections([
    ["", ["Decrypts encrypted container image layers where they are pulled."]],
    [
      "Usage",
      [
        `${INDENT}ctd-decoder [FLAGS] < layer > plaintext   as containerd calls it, payload on descriptor 3`,
        `${INDENT}ctd-decoder COMMAND [OPTIONS]             as people do`,
      ],
    ],
    ["Commands", definitions(commands.map(({ name, summary }) => [name, summary]))],
    ["Flags of the stream processor", optionLines(PROGRAM_FLAGS)],
    ["Other flags", optionLines(OTHER_FLAGS)],
    ["", ["See ctd-decoder COMMAND --help, with examples for every command."]],
  ]);
}

/** `ctd-decoder COMMAND --help` */
export function commandHelp(command: Command): string {
  return sections([
    ["", [`${capitalised(command.summary)}.`]],
    ["Usage", [`${INDENT}${usage(command)}`]],
    ["Options", optionLines({ ...command.options, help: HELP })],
    ["", command.notes.flatMap((note, i) => [...(i > 0 ? [""] : []), ...wrap(note, COLUMNS)])],
    [
      "Examples",
      command.examples.flatMap(({ command: line, does }) => [
        ...wrap(`# ${does}`, COLUMNS - 2).map(indent),
        indent(line),
      ]),
    ],
  ]);
}

export function usage({ name, operands, options }: Command): string {
  const words = operands.map((it) => (it.optional ? `[${it.name}]` : it.name));
  return ["ctd-decoder", name, ...(Object.keys(options).length > 0 ? ["[OPTIONS]"] : []), ...words].join(" ");
}

/** "-q, --quiet", "--key FILE" */
export function optionTerm(name: string, { alias, value }: Option): string {
  const names = [alias, name]
    .filter((it) => it !== undefined)
    .map((it) => (it.length === 1 ? `-${it}` : `--${it}`));
  return `${names.join(", ")}${value === undefined ? "" : ` ${value}`}`;
}

export function optionText({ help, choices, repeats }: Option): string {
  const more = [choices && `one of ${choices.join(", ")}`, repeats && "may be repeated"].filter((it) => it);
  return more.length === 0 ? help : `${help} (${more.join("; ")})`;
}

export function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function optionLines(options: Options): string[] {
  return definitions(
    Object.entries(options).map(([name, option]) => [optionTerm(name, option), optionText(option)]),
  );
}

function definitions(rows: readonly (readonly [string, string])[]): string[] {
  const longest = Math.max(...rows.map(([term]) => term.length).filter((length) => length <= TERM_COLUMNS));
  return rows.flatMap(([term, text]) => {
    const lines = wrap(text, COLUMNS - longest - 2 * INDENT.length);
    const margin = INDENT + " ".repeat(longest) + INDENT;
    if (term.length > longest) return [INDENT + term, ...lines.map((line) => margin + line)];
    return lines.map((line, i) => (i === 0 ? INDENT + term.padEnd(longest) + INDENT + line : margin + line));
  });
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function indent(line: string): string {
  return INDENT + line;
}

function sections(parts: readonly (readonly [string, readonly string[]])[]): string {
  return parts
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `${title === "" ? "" : `${title}:\n`}${lines.join("\n")}\n`)
    .join("\n");
}
