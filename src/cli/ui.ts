import { DecoderError } from "../errors.ts";
import { type Progress, SILENT } from "../image/progress.ts";
import { STOP_SIGNALS } from "../process/signals.ts";
import { printableJson } from "../text.ts";
import { lineProgress, type ShownProgress, terminalProgress } from "./progress.ts";
import { StandardStream } from "./standard-stream.ts";
import { type Style, styleFor, USUAL_COLUMNS } from "./style.ts";

interface UiOptions {
  readonly isQuiet?: boolean;
  readonly isJson?: boolean;
  /** Whether standard output holds a layer, an archive or a key. */
  readonly isPiped?: boolean;
}

/** Where a command writes: results to standard output, or to standard error if standard output holds something else. */
export class Ui {
  readonly isQuiet: boolean;
  readonly isJson: boolean;
  readonly #stream: StandardStream;
  #hasResult = false;

  constructor({ isQuiet = false, isJson = false, isPiped = false }: UiOptions) {
    this.isQuiet = isQuiet;
    this.isJson = isJson;
    this.#stream = new StandardStream(isPiped ? 2 : 1);
  }

  get style(): Style {
    return styleFor(this.#stream, process.env);
  }

  get columns(): number {
    return this.#stream.columns ?? USUAL_COLUMNS;
  }

  /**
   * Writes a result: as JSON with --json, else as text unless --quiet is given.
   * @param failure what the result amounts to, if that is a failure: part of the JSON, and thrown afterwards
   */
  result(value: object, text: () => string, failure?: DecoderError): void {
    const print = (words: string) => (failure === undefined ? this.#report(words) : this.print(words));
    if (this.isJson) {
      this.#hasResult = true;
      print(json(failure === undefined ? value : { ...value, error: errorOf(failure) }));
    } else if (!this.isQuiet) print(text());
    if (failure !== undefined) throw failure;
  }

  /** With --quiet, prints the one line that a script needs, usually the image's digest. */
  printIfQuiet(line: string): void {
    if (this.isQuiet && !this.isJson) this.#report(`${line}\n`);
  }

  /**
   * With --json, writes an error as JSON, unless the result already holds it.
   * @returns whether standard error holds the error now
   */
  fail(error: unknown): boolean {
    if (!this.isJson || this.#hasResult) return false;
    this.#hasResult = true;
    this.print(json({ error: errorOf(error) }));
    return this.#stream.isStandardError;
  }

  print(text: string): void {
    this.#stream.write(text);
  }

  /** Prints the report of finished work. @throws DecoderError IO, with a hint that the work itself was done */
  #report(text: string): void {
    try {
      this.print(text);
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      throw new DecoderError(error.code, error.message, {
        cause: error.cause,
        hint: "the work itself was done; only the report is lost",
      });
    }
  }

  /**
   * Runs long work that a signal may interrupt, and shows its progress: as a bar on a terminal, as lines elsewhere.
   * @param verb "encrypting"
   * @param unchanged as for `interruptible`
   */
  async work<T>(
    verb: string,
    work: (progress: Progress, signal: AbortSignal) => Promise<T>,
    unchanged?: string,
  ): Promise<T> {
    const progress = this.#progress(verb);
    return await interruptible(async (signal) => {
      try {
        return await work(progress, signal);
      } finally {
        progress.end();
      }
    }, unchanged);
  }

  #progress(verb: string): ShownProgress {
    if (this.isQuiet || this.isJson) return { ...SILENT, end: () => undefined };
    const stderr = new StandardStream(2);
    return stderr.isTTY
      ? terminalProgress(verb, stderr, styleFor(stderr, process.env))
      : lineProgress(verb, stderr);
  }
}

function json(value: object): string {
  return `${printableJson(value, 2)}\n`;
}

/** What JSON says of an error. An internal error's own message might quote a secret. */
function errorOf(error: unknown): { code: string; message: string; hint?: string } {
  if (!(error instanceof DecoderError)) return { code: "INTERNAL", message: "internal error" };
  const { code, message, hint } = error;
  return { code, message, ...(hint !== undefined && { hint }) };
}

/**
 * Runs work that a signal may interrupt. The first signal asks the work to stop; once it has cleaned up, the process ends
 * by that signal, as the waiting shell expects. A second signal ends the process at once.
 * @param unchanged end of the message that reports the interruption
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  unchanged = "nothing was changed",
): Promise<T> {
  const controller = new AbortController();
  let received: NodeJS.Signals | undefined;
  const stop = (name: NodeJS.Signals) => {
    received = name;
    controller.abort();
  };
  for (const name of STOP_SIGNALS) process.once(name, stop);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (received === undefined) throw error;
    const isUncertain = error instanceof DecoderError && error.code === "UNCERTAIN";
    const words = isUncertain ? error.message : `interrupted; ${unchanged}`;
    reportInterruption(words);
    for (const name of STOP_SIGNALS) process.off(name, stop);
    process.kill(process.pid, received);
    throw error;
  } finally {
    for (const name of STOP_SIGNALS) process.off(name, stop);
  }
}

export function reportInterruption(words: string): void {
  new StandardStream(2).write(`ctd-decoder: ${words}\n`);
}
