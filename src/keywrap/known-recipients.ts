import { readFileSync, statSync } from "node:fs";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import type { RecipientInfo, WrapSettings } from "./scheme.ts";
import { SCHEMES } from "./schemes.ts";

/** Public keys and certificates in files, to find them among recipients. */
export class KnownRecipients {
  /** "jwe id" → the files with that key. */
  readonly #files = new Map<string, string[]>();

  /** Takes a file if it holds a public key or certificate of a scheme, and reports whether it does. */
  async add(file: string, settings: WrapSettings): Promise<boolean> {
    if (!isRegular(file) || isPrivate(file)) return false;
    let isPublic = false;
    for (const row of SCHEMES) {
      const { idsOf } = await row.describe();
      for (const id of await idsOf(file, settings).catch(ignoreRefusal)) {
        const name = `${row.name} ${id}`;
        this.#files.set(name, [...(this.#files.get(name) ?? []), file]);
        isPublic = true;
      }
    }
    return isPublic;
  }

  /** The files that hold a recipient's key. @param scheme the annotation's suffix */
  filesOf(scheme: string, { id }: RecipientInfo): readonly string[] {
    return id === undefined ? [] : [...new Set(this.#files.get(`${scheme} ${id}`))];
  }
}

function ignoreRefusal(error: unknown): readonly string[] {
  if (error instanceof DecoderError) return [];
  throw error;
}

/** A pipe can be read only once, so it is left to the reader of private keys. */
function isRegular(file: string): boolean {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() === true && stat.size <= LIMITS.keyFileBytes;
}

/** Whether a file holds a private key in PEM or armour, or a secret OpenPGP key (RFC 9580 §5: packet type 5). */
function isPrivate(file: string): boolean {
  const data = readFileSync(file);
  const first = data[0] ?? 0;
  const packet = first < 0x80 ? 0 : (first & 0x40) !== 0 ? first & 0x3f : (first >> 2) & 0x0f;
  const isSecret = packet === 5 || /-----BEGIN [A-Z ]*PRIVATE KEY/.test(data.toString("latin1"));
  data.fill(0);
  return isSecret;
}
