import { DecoderError } from "../../errors.ts";
import type { KeySet } from "../keyset.ts";
import { TimeBudget, type TokenSettings } from "./module.ts";
import { loadPolicies } from "./module-policy.ts";
import { prepareKey, type TokenKey } from "./token-key.ts";

/** A failed attempt with a key on a token. */
interface TokenAttempt {
  readonly recipient?: string;
  readonly key: string;
  readonly outcome: string;
  readonly hint?: string | undefined;
}

/** The caller's side of a search for a key on a token. */
export interface TokenContext {
  readonly keys: KeySet;
  readonly settings: TokenSettings;
  /** Keeps an attempt that failed. */
  record(attempt: TokenAttempt): void;
  /** Called before each private-key operation. @throws DecoderError LIMIT */
  spend(): void;
}

const KEYRINGS = new WeakMap<KeySet, TokenKeyring>();
/** Refused key files that one message names. */
const REFUSALS_SHOWN = 8;

/**
 * The token keys of a key set, for all packets of all layers. A module that crashed and a PIN that a token refused are not
 * tried again for the next packet.
 */
export class TokenKeyring {
  readonly refusedPins = new Set<string>();
  readonly time: TimeBudget;
  #last: Promise<unknown> = Promise.resolve();
  readonly #keys: TokenKey[] = [];
  /** A key file's origin → why it can't be used. */
  readonly #refusals = new Map<string, DecoderError>();

  /** @throws DecoderError PKCS11 when no module at all is allowed */
  static of({ keys, settings }: Pick<TokenContext, "keys" | "settings">): TokenKeyring {
    const known = KEYRINGS.get(keys);
    if (known !== undefined) return known;
    const policies = loadPolicies(settings.environment, keys.parameters);
    const keyring = new TokenKeyring(new TimeBudget(settings.providerTimeoutMs));
    for (const { yaml, origin } of keys.tokenKeys) {
      try {
        keyring.#keys.push(prepareKey(yaml.bytes, origin, policies));
      } catch (error) {
        keyring.refuse([{ origin }], error);
      }
    }
    KEYRINGS.set(keys, keyring);
    return keyring;
  }

  private constructor(time: TimeBudget) {
    this.time = time;
  }

  /** Runs one packet's work at a time. Packets side by side would each try a wrong PIN. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  /** The keys that are worth a try, grouped by module and environment. */
  byModule(): (readonly [TokenKey, ...TokenKey[]])[] {
    const groups = new Map<string, [TokenKey, ...TokenKey[]]>();
    for (const key of this.#keys) {
      if (this.#refusals.has(key.origin)) continue;
      const name = JSON.stringify([key.module, Object.entries(key.environment).sort()]);
      const group = groups.get(name);
      if (group === undefined) groups.set(name, [key]);
      else group.push(key);
    }
    return [...groups.values()];
  }

  /** Gives keys up. Rethrows a spent budget and defects, which concern all keys. */
  refuse(keys: readonly Pick<TokenKey, "origin">[], error: unknown): void {
    if (!(error instanceof DecoderError) || error.code === "LIMIT") throw error;
    for (const { origin } of keys) this.#refusals.set(origin, error);
  }

  /**
   * Records the refused keys beside those that do not fit.
   * @throws DecoderError PKCS11 when all were refused
   */
  reportRefusals(context: Pick<TokenContext, "record">): void {
    if (this.byModule().length > 0) {
      for (const [key, { message, hint }] of this.#refusals) context.record({ key, outcome: message, hint });
      return;
    }
    const shown = [...this.#refusals]
      .slice(0, REFUSALS_SHOWN)
      .map(([origin, { message }]) => `${origin}: ${message}`);
    const more = this.#refusals.size > shown.length ? `; and ${this.#refusals.size - shown.length} more` : "";
    const [hint] = [...this.#refusals.values()].flatMap((refusal) => refusal.hint ?? []);
    const message = `no key on a PKCS#11 token could be used: ${shown.join("; ")}${more}`;
    throw new DecoderError("PKCS11", message, hint === undefined ? {} : { hint });
  }
}
