import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, writeSync } from "node:fs";
import { openNameless } from "../io/spool.ts";

export interface CommandOptions {
  /** The whole of the command's stdin; undefined: it is empty. */
  readonly input?: Uint8Array;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
  /** The command is killed when it writes more than this to stdout. */
  readonly outputBytes: number;
  /** Bytes of its stderr that are kept. With 0, stderr is not read. */
  readonly errorBytes: number;
  /** Aborting has the same effect as the deadline. */
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

/** Linux's tmpfs. Its files are never written to a disk's file system. */
const SHARED_MEMORY = "/dev/shm";

/**
 * Runs a program without a shell until it has exited and closed its stdout. The program leads a process group of its own. The
 * group is killed when the program exits, reaches the deadline or writes too much, so nothing that it started remains.
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
    // The runtimes throw some exec errors (E2BIG, ENOEXEC) and emit the others.
    return { end: { kind: "not started", cause }, output: output.take(), errors: errors.take() };
  }
  const timer = setTimeout(() => ended.resolve({ kind: "deadline" }), options.timeoutMs);
  const stop = () => {
    // The group is killed immediately, because the caller may be about to end this process.
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
  const { input = new Uint8Array(0) } = options;
  const file = inputFile(input);
  try {
    const child = spawn(path, args, {
      detached: true,
      stdio: [file ?? "pipe", "pipe", options.errorBytes > 0 ? "pipe" : "ignore"],
      env: { ...options.environment },
    });
    // EPIPE: a program need not read all of its input. Its answer decides.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
    return child;
  } finally {
    if (file !== null) closeSync(file);
  }
}

/**
 * Writes the input to a nameless file in memory. A script that opens /dev/stdin could not open the runtimes' own pipes, which
 * are socket pairs.
 * @returns null when no such file can be made
 */
function inputFile(input: Uint8Array): number | null {
  let file: number | undefined;
  try {
    file = openNameless(SHARED_MEMORY);
    // Writes name their position, so the descriptor's own offset stays 0 for the command.
    for (let at = 0; at < input.length; ) at += writeSync(file, input, at, input.length - at, at);
    return file;
  } catch {
    if (file !== undefined) closeSync(file);
    return null;
  }
}

/** Kills what still runs, and closes the pipes, which a process that left the group may hold open. */
function release(child: ChildProcess): void {
  // After its exit, its process ID may belong to another process. Its group was killed at the exit.
  if (child.exitCode === null && child.signalCode === null) killGroup(child);
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
  child.unref();
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // ESRCH: nothing is left of the group. Systems other than Unix have no groups.
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

  /** Returns the kept bytes in memory of their own, and zeroes the chunks, which may hold a key. */
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
