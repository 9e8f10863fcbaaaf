import { DecoderError, errnoOf } from "./errors.ts";
import * as LIMITS from "./limits.ts";
import { files } from "./process/files.ts";
import { printable } from "./text.ts";

const NAME = "ctd-decoder";
/** The only failure that Go's decoder has, and that containerd expects. */
const FAILURE = 1;
/** Wrong usage of a command, as in a shell's own commands. */
const WRONG_USAGE = 2;
/** `install` and `uninstall` succeeded, but containerd needs a restart. The decoder never exits with it. */
const PENDING = 3;

let isConcluded = false;
let usageExit = FAILURE;
let layOut = plain;

/**
 * From now on the program ends as commands do: wrong usage has an exit code of its own, and `lines` lays out a message and
 * its hint for the person who reads them.
 */
export function concludeAsCommand(lines: typeof plain): void {
  usageExit = WRONG_USAGE;
  layOut = lines;
}

function plain(message: string, hint: string | undefined): string {
  return `${NAME}: error: ${message}\n${hint === undefined ? "" : `${NAME}: hint: ${hint}\n`}`;
}

/**
 * Runs the program to its end: exit code 0 on success. If work waits for an event that never comes, the
 * process ends with the exit code set so far, which is a failure.
 */
export function conclude(work: () => Promise<void>): void {
  process.exitCode = FAILURE;
  process.on("uncaughtException", fail);
  process.on("exit", () => {
    if (!isConcluded) fail(unfinished());
  });
  work().then(succeed, fail);
}

function succeed(): void {
  if (!isConcluded) process.exitCode = 0;
  isConcluded = true;
}

function unfinished(): Error {
  const error = new Error();
  error.name = "Unfinished";
  return error;
}

/**
 * The one way out on failure: one message line and at most one hint line on stderr, exit code 1. Nothing is
 * printed for a reader that went away (EPIPE).
 */
export function fail(error: unknown): void {
  process.exitCode = FAILURE;
  isConcluded = true;
  if (error instanceof DecoderError) {
    if (error.code === "USAGE") process.exitCode = usageExit;
    if (error.code === "RESTART_PENDING") process.exitCode = PENDING;
    if (errnoOf(error.cause) === "EPIPE") return;
    print(layOut(oneLine(error.message), error.hint && oneLine(error.hint)));
  } else {
    // A defect: its kind helps to find it, its message might quote a secret.
    const kind = error instanceof Error ? error.name : typeof error;
    print(layOut(`internal error (${kind})`, "please report this with the command and the versions in use"));
  }
}

function oneLine(text: string): string {
  return printable(text, LIMITS.messageChars);
}

function print(text: string): void {
  try {
    files.writeSync(2, text);
  } catch {
    // Nobody reads stderr; the exit code still tells.
  }
}
