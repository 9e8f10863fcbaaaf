import type { Arguments } from "./arguments.ts";

/** One of `ctd-decoder`'s commands. Parsing, help, completion and manual page are all made from this. */
export interface Command {
  readonly name: string;
  /** One line, without a full stop. */
  readonly summary: string;
  readonly operands: readonly Operand[];
  readonly options: Options;
  /** Paragraphs of further explanation. */
  readonly notes: readonly string[];
  readonly examples: readonly Example[];
  /** @throws DecoderError */
  run(args: Arguments): Promise<void>;
}

export interface Operand {
  /** "SOURCE" */
  readonly name: string;
  readonly optional?: boolean;
  /** What a shell completes it with. */
  readonly completes: "files" | readonly string[];
}

/** Name without dashes → option. */
export type Options = Readonly<Record<string, Option>>;

export interface Option {
  readonly help: string;
  /** "FILE"; undefined for a switch. */
  readonly value?: string;
  /** May be given several times. */
  readonly repeats?: boolean;
  readonly alias?: string;
  /** The only values there are. */
  readonly choices?: readonly string[];
}

export interface Example {
  readonly command: string;
  /** What it does: a sentence without a full stop. */
  readonly does: string;
}
