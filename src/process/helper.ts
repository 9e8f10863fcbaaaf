import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
  contentLength,
  decodeMessage,
  encodeMessage,
  type HelperMessage,
  LENGTHS_BYTES,
} from "./helper-message.ts";
import { HELPER_COMMAND, IS_COMPILED } from "./runtime.ts";

export interface HelperOptions {
  /** The helper's whole environment. On Bun, C's getenv does not see later changes to process.env. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whether the helper's stderr goes to this process's stderr. */
  readonly showErrors: boolean;
}

/** Why the helper can give no more answers. */
export type HelperEnd =
  | { readonly kind: "exit"; readonly code: number }
  | { readonly kind: "signal"; readonly signal: string }
  | { readonly kind: "deadline" }
  /** Foreign code wrote to the descriptor for answers. */
  | { readonly kind: "garbled" }
  | { readonly kind: "not started"; readonly cause: unknown };

type HelperAnswer = (HelperMessage & { readonly kind: "answer" }) | HelperEnd;

/** Descriptor of the answers. `helper-server.ts` has the child's side of the descriptors. */
const ANSWERS = 3;

/**
 * Runs foreign code in a child process of the same program. The child's environment, crashes and hangs do not affect this
 * process. The child never outlives this process.
 */
export class HelperProcess {
  readonly #child: ChildProcess | undefined;
  readonly #exited = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<HelperEnd>();
  #answered = Promise.withResolvers<HelperAnswer>();
  #end: HelperEnd | undefined;
  #received = new Uint8Array(0);

  /** @param name one of the program's helpers */
  constructor(name: string, options: HelperOptions) {
    try {
      const [program, ...args] = ownCommand(name);
      this.#child = spawn(program, args, {
        stdio: ["pipe", "ignore", options.showErrors ? "inherit" : "ignore", "pipe", "pipe"],
        env: { ...options.environment },
      });
    } catch (cause) {
      // The runtimes throw some exec errors (E2BIG) and emit the others.
      this.#finish({ kind: "not started", cause });
      return;
    }
    this.#child.on("error", (cause) => this.#finish({ kind: "not started", cause }));
    this.#child.on("exit", (code, signal) => {
      this.#exited.resolve();
      this.#finish(signal === null ? { kind: "exit", code: code ?? 0 } : { kind: "signal", signal });
    });
    // EPIPE: the helper's exit status explains more.
    for (const stream of this.#child.stdio) stream?.on("error", () => {});
    this.#child.stdio[ANSWERS]?.on("data", (chunk: Buffer) => {
      try {
        this.#receive(chunk);
      } catch {
        this.#finish({ kind: "garbled" });
      }
    });
  }

  /** Sends one request and waits for its answer. Once the helper has ended, every answer is that end. */
  async ask(request: HelperMessage, timeoutMs: number): Promise<HelperAnswer> {
    if (this.#end !== undefined) return this.#end;
    this.#answered = Promise.withResolvers();
    const timer = setTimeout(() => this.#finish({ kind: "deadline" }), timeoutMs);
    try {
      const bytes = encodeMessage(request);
      this.#child?.stdin?.write(bytes, () => bytes.fill(0));
      return await Promise.race([this.#answered.promise, this.#ended.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the helper, and resolves when it has exited. */
  async stop(): Promise<void> {
    this.#finish({ kind: "signal", signal: "SIGKILL" });
    await this.#exited.promise;
  }

  #finish(end: HelperEnd): void {
    this.#end ??= end;
    this.#ended.resolve(this.#end);
    if (end.kind === "not started") this.#exited.resolve();
    else this.#child?.kill("SIGKILL");
  }

  /** @throws Error for bytes that are not a message */
  #receive(chunk: Buffer): void {
    const received = new Uint8Array(this.#received.length + chunk.length);
    received.set(this.#received);
    received.set(chunk, this.#received.length);
    this.#received.fill(0);
    chunk.fill(0);
    this.#received = received;

    if (received.length < LENGTHS_BYTES) return;
    const lengths = received.subarray(0, LENGTHS_BYTES);
    const content = received.subarray(LENGTHS_BYTES);
    if (content.length < contentLength(lengths)) return;
    this.#answered.resolve({ kind: "answer", ...decodeMessage(lengths, content) });
    received.fill(0);
    this.#received = new Uint8Array(0);
  }
}

/** The command that runs this program as its own helper. The executable contains its code and needs no script. */
export function ownCommand(helper: string): [program: string, ...args: string[]] {
  const script = IS_COMPILED ? [] : [fileURLToPath(new URL("../main.ts", import.meta.url))];
  return [process.execPath, ...script, HELPER_COMMAND, helper];
}
