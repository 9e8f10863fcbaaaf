import type { Arguments } from "./arguments.ts";
import type { Ui } from "./ui.ts";

/** A command of `ctd-decoder`. Parsing, help, completion and the manual page are all derived from it. */
export interface Command {
  /** One word, or two: "trust check" belongs to the group "trust". */
  readonly name: string;
  /** One line, without a full stop. */
  readonly summary: string;
  readonly operands: readonly Operand[];
  /** In the order in which help shows them: the most used first. */
  readonly options: Options;
  /** Paragraphs of further explanation. */
  readonly notes: readonly string[];
  readonly examples: readonly Example[];
  /**
   * When standard output holds a layer, an archive or a key: always, or if the last operand is `-`. Everything else, such as
   * errors with --json, then goes to standard error.
   */
  readonly pipes?: "always" | "to -";
  /** @throws DecoderError */
  run(args: Arguments, ui: Ui): Promise<void>;
}

export interface Operand {
  /** "SOURCE" */
  readonly name: string;
  readonly optional?: boolean;
  /** What a shell offers for it: image references, file names, or these words. */
  readonly completes: "images" | "files" | readonly string[];
}

/** Name without dashes → option. */
export type Options = Readonly<Record<string, Option>>;

export interface Option {
  readonly help: string;
  /** "FILE"; undefined for a switch. */
  readonly value?: string;
  /** Whether it may be given several times. */
  readonly repeats?: boolean;
  /** Another name: a letter for the short form "-q", or a second long name. */
  readonly alias?: string;
  /** The only values allowed. */
  readonly choices?: readonly string[];
  /** The heading that help shows it under; undefined: "Options". */
  readonly group?: string;
}

interface Example {
  /** A command line that works as it stands, given the files it names. */
  readonly command: string;
  /** What it does: a sentence without a full stop. */
  readonly does: string;
}

/** "-q" for "q", "--quiet" for "quiet". */
export function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** The command that the first words of a line name. */
export function commandOf(words: readonly string[], commands: readonly Command[]): Command | undefined {
  return commands.find((command) => command.name === words.slice(0, wordsOf(command)).join(" "));
}

/** How many words of a line its name takes. */
export function wordsOf({ name }: Command): number {
  return name.split(" ").length;
}
