import { Budget } from "../budget.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import { kidOf } from "../keys/thumbprint.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { type KeyKind, SCHEMES, schemeOf } from "../keywrap/schemes.ts";
import { openLayer } from "../layer/open.ts";
import * as LIMITS from "../limits.ts";
import { endingAtOnce } from "../process/signals.ts";
import { KEYS_PREFIX } from "../spec/annotations.ts";
import type { Descriptor } from "../spec/descriptor.ts";

export interface OpensInfo {
  readonly scheme: string;
  readonly recipient?: string;
  /** The key's file, and which key of the file: "node.pem". */
  readonly key?: string;
  /** The name of an RSA or EC key, as `keygen` and `doctor` print it. */
  readonly kid?: string;
}

/** Keys that are tried together on the wrapped keys of these schemes. */
interface Group {
  readonly keys: KeySet;
  readonly schemes: readonly string[];
}

/** Finds all keys of a set that open a layer, where `openLayer` ends with the first. */
export class Openers {
  readonly #keys: KeySet;
  readonly #groups: readonly Group[];
  readonly #settings: SchemeSettings;

  constructor(keys: KeySet, settings: SchemeSettings) {
    this.#keys = keys;
    this.#groups = groupsOf(keys);
    this.#settings = settings;
  }

  /** Takes at most the time that one layer may take. Keys that would be tried later are left out. */
  async of(descriptor: Descriptor): Promise<OpensInfo[]> {
    const suffixes = Object.keys(descriptor.annotations ?? {})
      .filter((name) => name.startsWith(KEYS_PREFIX))
      .map((name) => name.slice(KEYS_PREFIX.length));
    if (suffixes.length > LIMITS.wrappedKeyAnnotations) return [];
    const services = suffixes.filter((suffix) => schemeOf(suffix)?.row.openedBy.length === 0);
    const groups = [...this.#groups, ...services.map((name) => ({ keys: this.#keys, schemes: [name] }))];
    const budget = new Budget({ cpuMs: LIMITS.unwrapCpuMs, clockMs: LIMITS.unwrapClockMs });
    const opens: OpensInfo[] = [];
    for (const { keys, schemes } of groups) {
      if (!suffixes.some((suffix) => schemes.includes(suffix))) continue;
      if (!budget.take()) break;
      const opener = await this.#open(only(descriptor, schemes), keys);
      if (opener !== undefined) opens.push(opener);
    }
    return opens;
  }

  async #open(descriptor: Descriptor, keys: KeySet): Promise<OpensInfo | undefined> {
    try {
      const opened = await endingAtOnce(() => openLayer(descriptor, keys, this.#settings));
      opened.close();
      const { scheme, recipient, key } = opened.by;
      return {
        scheme,
        ...(recipient !== undefined && { recipient }),
        ...(typeof key === "string" && { key }),
        ...(typeof key === "object" && { key: key.origin, kid: kidOf(key) }),
      };
    } catch (error) {
      if (error instanceof DecoderError) return undefined;
      throw error;
    }
  }
}

/** Made once: schemes remember the passphrases and PINs they tried by these very lists. */
function groupsOf(keys: KeySet): Group[] {
  const none: KeySet = { ...keys, keys: [], keyrings: [], tokenKeys: [] };
  return [
    ...keys.keys.map((key) => ({ keys: { ...none, keys: [key] }, schemes: openedBy("keys") })),
    ...keys.keyrings.map((it) => ({ keys: { ...none, keyrings: [it] }, schemes: openedBy("keyrings") })),
    // All at once: a PIN that a token refused must not be tried again for the next key file.
    { keys: { ...none, tokenKeys: keys.tokenKeys }, schemes: openedBy("tokenKeys") },
  ];
}

function openedBy(kind: KeyKind): string[] {
  return SCHEMES.filter((row) => row.openedBy.includes(kind)).map(({ name }) => name);
}

function only({ annotations = {}, ...descriptor }: Descriptor, schemes: readonly string[]): Descriptor {
  const kept = Object.entries(annotations).filter(
    ([name]) => !name.startsWith(KEYS_PREFIX) || schemes.includes(name.slice(KEYS_PREFIX.length)),
  );
  return { ...descriptor, annotations: Object.fromEntries(kept) } as Descriptor;
}
