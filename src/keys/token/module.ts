import { PieceBudget } from "../../budget.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { type HelperEnd, HelperProcess } from "../../process/helper.ts";
import { NO_BODY } from "../../process/helper-message.ts";
import {
  HELPER,
  type KeyReply,
  type KeySelector,
  type ModuleRequest,
  type OaepHash,
  type Token,
  type TokensReply,
} from "./module-protocol.ts";

/** The caller's wishes for modules. Nothing in here comes from the image. */
export interface TokenSettings {
  /** The process's environment, which a module inherits. OCICRYPT_CONFIG names the policy. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Longest wait for one answer. */
  readonly providerTimeoutMs: number;
  /** Lets a module's own stderr through. */
  readonly verbose: boolean;
}

/** A module to load. */
interface ModulePlace {
  /** The real path. */
  readonly path: string;
  /** Variables in addition to the process's own. */
  readonly environment: Readonly<Record<string, string>>;
  readonly time: TimeBudget;
}

/** All answers until a packet opens may take this many times as long as one. */
const ANSWERS = 2;

/** The time that modules may take until a packet opens, all calls together. An image may have many packets. */
export class TimeBudget {
  readonly #answerMs: number;
  readonly #budget: PieceBudget;

  /** @param answerMs longest wait for one answer */
  constructor(answerMs: number) {
    this.#answerMs = answerMs;
    this.#budget = new PieceBudget({ clockMs: ANSWERS * answerMs });
  }

  restart(): void {
    this.#budget.restart();
  }

  /** @throws DecoderError LIMIT when all of it was used */
  async measure<T>(work: (timeoutMs: number) => Promise<T>): Promise<T> {
    const left = this.#budget.clockMsLeft;
    if (left <= 0)
      throw new DecoderError("LIMIT", "the PKCS#11 tokens took too long, and none opened the layer");
    const end = this.#budget.begin();
    try {
      return await work(Math.min(left, this.#answerMs));
    } finally {
      end();
    }
  }
}

/** Longest wait for C_Finalize. */
const CLOSE_MS = 2000;

/** A token's refusal, as the name of a CKR code. */
interface Refused {
  readonly refused: string;
}

/**
 * A PKCS#11 module in a process of its own. Methods throw DecoderError PKCS11 when the module failed or is gone, and LIMIT
 * when the time is used up.
 */
export class TokenModule {
  readonly #path: string;
  readonly #time: TimeBudget;
  readonly #helper: HelperProcess;
  readonly #loggedIn = new Set<number>();
  #alive = true;

  private constructor({ path, environment, time }: ModulePlace, settings: TokenSettings) {
    this.#path = path;
    this.#time = time;
    this.#helper = new HelperProcess(HELPER, {
      environment: { ...settings.environment, ...environment },
      showErrors: settings.verbose,
    });
  }

  /** Loads and initializes a module, does the work, and closes the module. */
  static async use<T>(
    place: ModulePlace,
    settings: TokenSettings,
    work: (module: TokenModule) => Promise<T>,
  ): Promise<T> {
    const module = new TokenModule(place, settings);
    try {
      await module.#demand({ op: "load", module: place.path }, "can't be loaded");
      return await work(module);
    } finally {
      await module.#close();
    }
  }

  async tokens(): Promise<readonly Token[]> {
    const { head } = await this.#demand({ op: "tokens" }, "can't list its tokens");
    return (head as unknown as TokensReply).tokens;
  }

  /** A login holds for all sessions with a token, and so for every key file. */
  isLoggedIn(slotId: number): boolean {
    return this.#loggedIn.has(slotId);
  }

  /** Tries a PIN once. Null when the token accepted it. */
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
      return "wrote something other than an answer";
    case "signal":
      return `crashed (${end.signal})`;
    case "exit":
      return `ended its process (exit code ${end.code})`;
    case "not started":
      return `could not be started in a process of its own: ${describeSystemError(end.cause)}`;
  }
}
