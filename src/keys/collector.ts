import { PieceBudget } from "../budget.ts";
import type { Bytes } from "../encoding/bytes.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import type { Secret } from "../secret.ts";
import type { AsymmetricKey, Certificate, KeySet, PgpKeyring, SkippedKey, TokenKeyFile } from "./keyset.ts";
import { type Found, recognise } from "./recognise.ts";

/** ocicrypt's parameter names, under which a legacy key provider receives the keys. */
export type ParameterName = "privkeys" | "x509s" | "gpg-privatekeys" | "pkcs11-yamls";

/** Collects keys, certificates, keyrings and token files of any form into a key set. */
export class KeyCollector {
  readonly keys: AsymmetricKey[] = [];
  readonly certificates: Certificate[] = [];
  readonly keyrings: PgpKeyring[] = [];
  readonly tokenKeys: TokenKeyFile[] = [];
  readonly skipped: SkippedKey[] = [];
  readonly #strict: boolean;
  readonly #budget = new PieceBudget({ cpuMs: LIMITS.keyDerivationCpuMs });

  /** @param strict whether unusable data is an error */
  constructor(strict: boolean) {
    this.#strict = strict;
  }

  /** @throws DecoderError BAD_KEY when strict */
  skip(key: SkippedKey): void {
    if (this.#strict) {
      throw new DecoderError("BAD_KEY", `${key.origin} can't be used: ${key.reason}`, {
        hint: "remove it, or run without --strict-keys",
      });
    }
    this.skipped.push(key);
  }

  /**
   * Adds the keys in `data`.
   * @returns the ocicrypt parameter that the data belongs to; undefined when nothing in it is usable
   */
  async add(data: Bytes, origin: string, passwords: readonly Secret[]): Promise<ParameterName | undefined> {
    if (this.#isFull(origin)) return undefined;
    let parameter: ParameterName | undefined;
    for (const found of await recognise(data, { origin, passwords, budget: this.#budget }))
      parameter = this.#file(found, origin) ?? parameter;
    return parameter;
  }

  /** Whether the limit of keys is reached. The key that would exceed it is skipped. */
  #isFull(origin: string): boolean {
    const isFull = this.keys.length >= LIMITS.keyEntries;
    if (isFull) this.skip({ origin, reason: `more than ${LIMITS.keyEntries} keys` });
    return isFull;
  }

  #file(found: Found, origin: string): ParameterName | undefined {
    switch (found.kind) {
      case "key":
        if (this.#isFull(origin)) {
          found.key.pkcs8.destroy();
          return undefined;
        }
        this.keys.push(found.key);
        return "privkeys";
      case "certificate":
        this.certificates.push(found.certificate);
        return "x509s";
      case "keyring":
        this.keyrings.push(found.keyring);
        return "gpg-privatekeys";
      case "token key":
        this.tokenKeys.push(found.tokenKey);
        return "pkcs11-yamls";
      case "unusable": {
        const { reason, isLocked } = found;
        this.skip({ origin, reason, ...(isLocked && { isLocked }) });
        return undefined;
      }
    }
  }

  /** @param parameters as {@link KeySet.parameters} */
  finish(parameters: KeySet["parameters"]): KeySet {
    const { keys, certificates, keyrings, tokenKeys, skipped } = this;
    return { keys, certificates, keyrings, tokenKeys, parameters, skipped };
  }
}
