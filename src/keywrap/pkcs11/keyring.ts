import { DecoderError } from "../../errors.ts";
import type { KeySet } from "../../keys/keyset.ts";
import type { UnwrapContext } from "../scheme.ts";
import { loadPolicies } from "./module-policy.ts";
import { TimeBudget } from "./time-budget.ts";
import { prepareKey, type TokenKey } from "./token-key.ts";

const KEYRINGS = new WeakMap<KeySet, TokenKeyring>();
/** Refused key files that one message names. */
const REFUSALS_SHOWN = 8;

/**
 * The key files of a key set, for all packets of all layers: neither a module that crashed nor a PIN that was wrong is
 * tried again for the next one.
 */
export class TokenKeyring {
  readonly refusedPins = new Set<string>();
  readonly time: TimeBudget;
  #last: Promise<unknown> = Promise.resolve();
  readonly #keys: TokenKey[] = [];
  /** Why a key file can't be used, by its origin. */
  readonly #refusals = new Map<string, string>();

  /** @throws DecoderError PKCS11 when no module at all is allowed */
  static of({ keys, settings }: UnwrapContext): TokenKeyring {
    const known = KEYRINGS.get(keys);
    if (known !== undefined) return known;
    const policies = loadPolicies(settings.environment, keys.parameters);
    const keyring = new TokenKeyring(new TimeBudget(settings.providerTimeoutMs));
    for (const { yaml, origin } of keys.pkcs11) {
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

  /** One packet after the other: side by side each of them would try a wrong PIN. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  /** The keys that are worth a try, those of one module in one environment together. */
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

  /** Gives keys up. What has run out of budget, or is a defect, concerns them all and is thrown again. */
  refuse(keys: readonly Pick<TokenKey, "origin">[], error: unknown): void {
    if (!(error instanceof DecoderError) || error.code === "LIMIT") throw error;
    for (const { origin } of keys) this.#refusals.set(origin, error.message);
  }

  /**
   * Records the refused keys beside those that don't fit.
   * @throws DecoderError PKCS11 when all were refused
   */
  reportRefusals(context: UnwrapContext): void {
    if (this.byModule().length > 0) {
      for (const [key, outcome] of this.#refusals) context.record({ key, outcome });
      return;
    }
    const shown = [...this.#refusals]
      .slice(0, REFUSALS_SHOWN)
      .map(([origin, reason]) => `${origin}: ${reason}`);
    const more = this.#refusals.size > shown.length ? `; and ${this.#refusals.size - shown.length} more` : "";
    throw new DecoderError("PKCS11", `no key on a PKCS#11 token could be used: ${shown.join("; ")}${more}`);
  }
}
