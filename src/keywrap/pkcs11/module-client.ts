import { DecoderError, describeSystemError } from "../../errors.ts";
import { type HelperEnd, HelperProcess } from "../../process/helper.ts";
import { NO_BODY } from "../../process/helper-message.ts";
import type { SchemeSettings } from "../scheme.ts";
import type { OaepHash } from "./message.ts";
import type { KeyReply, KeySelector, ModuleRequest, Token, TokensReply } from "./module-protocol.ts";
import type { TimeBudget } from "./time-budget.ts";

/** The helper's name on the command line. */
const HELPER = "pkcs11-module";
/** C_Finalize of a module that is done with. */
const CLOSE_MS = 2000;

type Bytes = Uint8Array<ArrayBuffer>;

/** A token's refusal, as CKR name. */
export interface Refused {
  readonly refused: string;
}

/**
 * A PKCS#11 module in a process of its own. Its methods throw DecoderError PKCS11 when the module failed or is gone,
 * LIMIT when the time is used up.
 */
export class TokenModule {
  readonly #path: string;
  readonly #time: TimeBudget;
  readonly #helper: HelperProcess;
  readonly #loggedIn = new Set<number>();
  #alive = true;

  private constructor(
    path: string,
    environment: Readonly<Record<string, string>>,
    settings: SchemeSettings,
    time: TimeBudget,
  ) {
    this.#path = path;
    this.#time = time;
    this.#helper = new HelperProcess(HELPER, {
      environment: { ...settings.environment, ...environment },
      showErrors: settings.verbose,
    });
  }

  /**
   * Loads and initializes a module, and closes it after the work.
   * @param environment what it finds there in addition to this process's
   */
  static async use<T>(
    path: string,
    environment: Readonly<Record<string, string>>,
    settings: SchemeSettings,
    time: TimeBudget,
    work: (module: TokenModule) => Promise<T>,
  ): Promise<T> {
    const module = new TokenModule(path, environment, settings, time);
    try {
      await module.#demand({ op: "load", module: path }, "can't be loaded");
      return await work(module);
    } finally {
      await module.#close();
    }
  }

  async tokens(): Promise<readonly Token[]> {
    const { head } = await this.#demand({ op: "tokens" }, "can't list its tokens");
    return (head as unknown as TokensReply).tokens;
  }

  /** A login holds for all sessions with a token, and for the keys of every key file. */
  isLoggedIn(slotId: number): boolean {
    return this.#loggedIn.has(slotId);
  }

  /** Tries a PIN, once. null when it was taken. */
  async login(slotId: number, pin: string): Promise<Refused | null> {
    const answer = await this.#ask({ op: "login", slotId, pin });
    if ("refused" in answer && answer.refused !== "CKR_USER_ALREADY_LOGGED_IN") return answer;
    this.#loggedIn.add(slotId);
    return null;
  }

  async findKey(slotId: number, key: KeySelector): Promise<KeyReply> {
    const { head } = await this.#demand({ op: "find key", slotId, key }, "can't search its keys");
    return head as unknown as KeyReply;
  }

  async startDecryption(slotId: number, key: string, hash: OaepHash): Promise<Refused | null> {
    const answer = await this.#ask({ op: "start decryption", slotId, key, hash });
    return "refused" in answer ? answer : null;
  }

  async decrypt(slotId: number, encrypted: Bytes): Promise<Bytes | Refused> {
    const answer = await this.#ask({ op: "decrypt", slotId }, encrypted);
    return "refused" in answer ? answer : answer.body;
  }

  async startEncryption(slotId: number, key: string, hash: OaepHash): Promise<Refused | null> {
    const answer = await this.#ask({ op: "start encryption", slotId, key, hash });
    return "refused" in answer ? answer : null;
  }

  async #close(): Promise<void> {
    if (this.#alive) await this.#helper.ask({ head: { op: "close" }, body: NO_BODY }, CLOSE_MS);
    await this.#helper.stop();
  }

  async #demand(request: ModuleRequest, problem: string): Promise<{ head: object; body: Bytes }> {
    const answer = await this.#ask(request);
    if ("refused" in answer)
      throw new DecoderError("PKCS11", `the module ${this.#path} ${problem}: ${answer.refused}`);
    return answer;
  }

  async #ask(
    request: ModuleRequest,
    body: Bytes = NO_BODY,
  ): Promise<{ head: object; body: Bytes } | Refused> {
    const answer = await this.#time.measure((timeoutMs) =>
      this.#helper.ask({ head: { ...request }, body }, timeoutMs),
    );
    if (answer.kind !== "answer") {
      this.#alive = false;
      throw new DecoderError("PKCS11", `the module ${this.#path} ${describeEnd(answer)}`);
    }
    const { failure } = answer.head;
    return typeof failure === "string" ? { refused: failure } : answer;
  }
}

function describeEnd(end: HelperEnd): string {
  switch (end.kind) {
    case "deadline":
      return "did not answer in time";
    case "garbled":
      return "wrote something else than an answer";
    case "signal":
      return `crashed (${end.signal})`;
    case "exit":
      return `ended its process (exit code ${end.code})`;
    case "not started":
      return `got no process: ${describeSystemError(end.cause)}`;
  }
}
