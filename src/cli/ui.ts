import { type Progress, SILENT } from "../image/progress.ts";
import { Output } from "../io/output.ts";
import type { Arguments } from "./arguments.ts";
import { interruptible } from "./interrupt.ts";
import { lineProgress, type ShownProgress, terminalProgress } from "./progress.ts";
import { type Style, styleFor } from "./style.ts";

const STDOUT = 1;
const STDERR = 2;
/** What a terminal without a known width is taken for. */
const USUAL_COLUMNS = 80;

/** Where a command's words go. Results to standard output, or to standard error when an image goes there. */
export class Ui {
  readonly isQuiet: boolean;
  readonly isJson: boolean;
  readonly style: Style;
  readonly columns: number;
  readonly #output: Output;

  /** @param stdoutTaken whether standard output is for an image or a layer */
  constructor(args: Arguments, stdoutTaken = false) {
    const stream = stdoutTaken ? process.stderr : process.stdout;
    this.isQuiet = args.flag("quiet");
    this.isJson = args.flag("json");
    this.style = styleFor(stream, process.env);
    this.columns = stream.columns || USUAL_COLUMNS;
    this.#output = stdoutTaken ? new Output(STDERR, "standard error") : new Output(STDOUT, "standard output");
  }

  /** A result: as JSON if so asked, otherwise as text unless all is to be quiet. */
  result(value: unknown, text: () => string): void {
    if (this.isJson) this.print(`${JSON.stringify(value, null, 2)}\n`);
    else if (!this.isQuiet) this.print(text());
  }

  print(text: string): void {
    this.#output.write(Buffer.from(text));
  }

  /**
   * Does long work: it can be stopped by Ctrl-C and the like, and shows how far it is, with a bar on a terminal and with
   * lines elsewhere.
   * @param verb "encrypting"
   */
  async work<T>(verb: string, work: (progress: Progress, signal: AbortSignal) => Promise<T>): Promise<T> {
    const progress = this.#progress(verb);
    return await interruptible(async (signal) => {
      try {
        return await work(progress, signal);
      } finally {
        progress.end();
      }
    });
  }

  #progress(verb: string): ShownProgress {
    if (this.isQuiet || this.isJson) return { ...SILENT, end: () => undefined };
    const { stderr } = process;
    return stderr.isTTY
      ? terminalProgress(verb, stderr, styleFor(stderr, process.env))
      : lineProgress(stderr);
  }
}
