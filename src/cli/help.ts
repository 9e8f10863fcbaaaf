import manifest from "../../package.json" with { type: "json" };
import { FLAG_HELP } from "../decoder/flag-help.ts";
import { type Command, dashed, type Option, type Options } from "./command.ts";

export const VERSION: string = manifest.version;

const INDENT = "  ";
const COLUMNS = 80;
/** The text of a longer term starts on the next line. */
const TERM_COLUMNS = 28;
const USUAL_GROUP = "Options";

export const HELP: Option = { help: "print help", alias: "h" };

/** The decoder's own flags, described as a command's options are. */
export const PROGRAM_FLAGS: Options = FLAG_HELP;

export const OTHER_FLAGS: Options = { help: HELP, version: { help: "print the version" } };

/** Commands under a heading, the most used first. */
export type CommandGroup = readonly [title: string, commands: readonly Command[]];

/** `ctd-decoder --help` */
export function programHelp(groups: readonly CommandGroup[]): string {
  const commands = groups.flatMap(([, members]) => members);
  const columns = Math.max(...commands.map(({ name }) => name.length));
  return sections([
    ["", wrap("Decrypts encrypted layers of container images where they are pulled.", COLUMNS)],
    [
      "Usage",
      [
        `${INDENT}ctd-decoder COMMAND [OPTIONS]             by hand`,
        `${INDENT}ctd-decoder [FLAGS] < layer > plaintext   by containerd, payload on fd 3`,
      ],
    ],
    ...groups.map(([title, members]) => [title, commandLines(members, columns)] as const),
    ["Flags of the stream processor", optionLines(PROGRAM_FLAGS)],
    ["Other flags", optionLines(OTHER_FLAGS)],
    ["", ["ctd-decoder COMMAND --help explains a command and shows examples."]],
  ]);
}

/** `ctd-decoder trust --help` */
export function groupHelp(first: string, members: readonly Command[]): string {
  const columns = Math.max(...members.map(({ name }) => name.length));
  return sections([
    ["Usage", [`${INDENT}ctd-decoder ${first} COMMAND [OPTIONS]`]],
    ["Commands", commandLines(members, columns)],
    ["", [`ctd-decoder ${first} COMMAND --help explains a command and shows examples.`]],
  ]);
}

/** `ctd-decoder COMMAND --help` */
export function commandHelp(command: Command): string {
  return sections([
    ["", [`${capitalised(command.summary)}.`]],
    ["Usage", [`${INDENT}${usage(command)}`]],
    ...optionGroups(command.options).map(([title, options]) => [title, optionLines(options)] as const),
    ["", command.notes.flatMap((note, i) => [...(i > 0 ? [""] : []), ...wrap(note, COLUMNS)])],
    [
      "Examples",
      command.examples.flatMap(({ command: line, does }) => [
        ...wrap(does, COLUMNS - INDENT.length - "# ".length).map((text) => indent(`# ${text}`)),
        ...wrapCommand(line).map(indent),
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
  const names = [alias, name].filter((it) => it !== undefined).toSorted((a, b) => a.length - b.length);
  return `${names.map(dashed).join(", ")}${value === undefined ? "" : ` ${value}`}`;
}

export function optionText({ help, choices = [], repeats }: Option): string {
  // The help of an option with a single choice names it.
  const some = choices.length > 1 && `one of ${choices.join(", ")}`;
  const more = [some, repeats && "may be repeated"].filter((it) => it);
  return more.length === 0 ? help : `${help} (${more.join("; ")})`;
}

/** Options by heading, in the order in which each heading first appears. */
function optionGroups(options: Options): [title: string, options: Options][] {
  const groups = new Map<string, Record<string, Option>>([[USUAL_GROUP, {}]]);
  for (const [name, option] of Object.entries({ ...options, help: HELP })) {
    const title = option.group ?? USUAL_GROUP;
    groups.set(title, { ...groups.get(title), [name]: option });
  }
  return [...groups];
}

export function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function commandLines(commands: readonly Command[], columns: number): string[] {
  return definitions(
    commands.map(({ name, summary }) => [name, summary]),
    columns,
  );
}

function optionLines(options: Options): string[] {
  return definitions(
    Object.entries(options).map(([name, option]) => [optionTerm(name, option), optionText(option)]),
  );
}

function definitions(rows: readonly (readonly [string, string])[], columns?: number): string[] {
  const fitting = rows.map(([term]) => term.length).filter((length) => length <= TERM_COLUMNS);
  const longest = columns ?? Math.max(0, ...fitting);
  return rows.flatMap(([term, text]) => {
    const lines = wrap(text, COLUMNS - longest - 2 * INDENT.length);
    const margin = INDENT + " ".repeat(longest) + INDENT;
    if (term.length > longest) return [INDENT + term, ...lines.map((line) => margin + line)];
    return lines.map((line, i) => (i === 0 ? INDENT + term.padEnd(longest) + INDENT + line : margin + line));
  });
}

export function wrap(text: string, columns: number): string[] {
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

/** A command line in lines that a shell reads as one. */
function wrapCommand(line: string): string[] {
  const lines = wrap(line, COLUMNS - 2 * INDENT.length - " \\".length);
  return lines.map((part, i) => (i > 0 ? INDENT : "") + part + (i < lines.length - 1 ? " \\" : ""));
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
