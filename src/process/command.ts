import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, writeSync } from "node:fs";
import { openNameless } from "../io/spool.ts";

export interface CommandOptions {
  /** All that the command's stdin gives. */
  readonly input: Uint8Array;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
  /** The command is killed when it writes more than this to stdout. */
  readonly outputBytes: number;
  /** How much of its stderr is kept. With 0 it is not read at all. */
  readonly errorBytes: number;
  /** Ends the command as its deadline does. */
  readonly signal?: AbortSignal;
}

type CommandEnd =
  | { readonly kind: "exit"; readonly code: number }
  | { readonly kind: "signal"; readonly signal: string }
  | { readonly kind: "deadline" }
  | { readonly kind: "overflow" }
  | { readonly kind: "not started"; readonly cause: unknown };

export interface CommandResult {
  readonly end: CommandEnd;
  readonly output: Uint8Array<ArrayBuffer>;
  readonly errors: Uint8Array<ArrayBuffer>;
}

/** Linux's tmpfs: what is there is in no file system on a disk. */
const SHARED_MEMORY = "/dev/shm";

/**
 * Runs a program, without a shell, to its end: it has exited and closed its stdout. Nothing that it started stays: it
 * leads a process group of its own, which is killed when it exits, at the deadline and when it writes too much.
 */
export async function runCommand(
  path: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const ended = Promise.withResolvers<CommandEnd>();
  const output = new Capture(options.outputBytes, () => ended.resolve({ kind: "overflow" }));
  const errors = new Capture(options.errorBytes, () => {});
  let child: ChildProcess;
  try {
    child = start(path, args, options);
  } catch (cause) {
    // The runtimes throw some errors of exec (E2BIG, ENOEXEC) and emit the others.
    return { end: { kind: "not started", cause }, output: output.take(), errors: errors.take() };
  }
  const timer = setTimeout(() => ended.resolve({ kind: "deadline" }), options.timeoutMs);
  const stop = () => {
    // At once: whoever aborts may be about to end the process.
    killGroup(child);
    ended.resolve({ kind: "deadline" });
  };
  options.signal?.addEventListener("abort", stop);
  if (options.signal?.aborted) stop();
  child.on("error", (cause) => ended.resolve({ kind: "not started", cause }));
  child.on("exit", () => killGroup(child));
  child.on("close", (code, signal) => {
    ended.resolve(signal === null ? { kind: "exit", code: code ?? 0 } : { kind: "signal", signal });
  });
  child.stdout?.on("data", (chunk: Buffer) => output.add(chunk));
  child.stderr?.on("data", (chunk: Buffer) => errors.add(chunk));

  const end = await ended.promise;
  clearTimeout(timer);
  options.signal?.removeEventListener("abort", stop);
  release(child);
  return { end, output: output.take(), errors: errors.take() };
}

function start(path: string, args: readonly string[], options: CommandOptions): ChildProcess {
  const file = inputFile(options.input);
  try {
    const child = spawn(path, args, {
      detached: true,
      stdio: [file ?? "pipe", "pipe", options.errorBytes > 0 ? "pipe" : "ignore"],
      env: { ...options.environment },
    });
    // EPIPE: nobody has to read what he doesn't need. Its answer tells.
    child.stdin?.on("error", () => {});
    child.stdin?.end(options.input);
    return child;
  } finally {
    if (file !== null) closeSync(file);
  }
}

/**
 * The input in a file without a name, in memory, or null where there is no place for it. The runtimes' own pipes are
 * socket pairs, and a script that opens /dev/stdin can't open those.
 */
function inputFile(input: Uint8Array): number | null {
  let file: number | undefined;
  try {
    file = openNameless(SHARED_MEMORY);
    // At positions: the command reads from the descriptor's own, which stays 0.
    for (let at = 0; at < input.length; ) at += writeSync(file, input, at, input.length - at, at);
    return file;
  } catch {
    if (file !== undefined) closeSync(file);
    return null;
  }
}

/** Kills what still runs, and lets go of the pipes, which a process that left the group may hold open. */
function release(child: ChildProcess): void {
  // Once it has exited its number may be somebody else's; the group was killed then.
  if (child.exitCode === null && child.signalCode === null) killGroup(child);
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
  child.unref();
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // ESRCH: nothing is left of the group. Elsewhere than on Unix there are no groups.
    child.kill("SIGKILL");
  }
}

/** Keeps the first bytes of a stream. */
class Capture {
  readonly #limit: number;
  readonly #onOverflow: () => void;
  readonly #chunks: Buffer[] = [];
  #length = 0;

  constructor(limit: number, onOverflow: () => void) {
    this.#limit = limit;
    this.#onOverflow = onOverflow;
  }

  add(chunk: Buffer): void {
    const room = this.#limit - this.#length;
    if (chunk.length > room) this.#onOverflow();
    if (room > 0) this.#chunks.push(chunk.subarray(0, room));
    this.#length += Math.min(chunk.length, room);
  }

  /** What was kept, in memory of its own. The chunks may hold a key and are zeroed. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
      chunk.fill(0);
    }
    return bytes;
  }
}
