/** What stands after a flag → the option's value. Each throws DecoderError USAGE with the flag's name. */
import { DecoderError } from "../errors.ts";

/** How large a decompressed layer may be: so many times the compressed one, or `atLeast` if that is more; in bytes. */
export interface Expansion {
  readonly times: number;
  readonly atLeast: number;
}

/** The end of a tar alone, 10 KiB of zeros, is 1:200 in gzip. */
const SMALL_LAYER = 64 * 1024;

const USAGE =
  "usage: ctd-decoder [--decryption-keys-path PATH] [FLAGS] < layer > plaintext; ctd-decoder --help tells all flags";

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** "16M", "1GiB", "65536" → bytes. */
export function toSize(text: string, name: string): number {
  const [, digits, unit = ""] = /^(\d{1,12})([kmg]?)(?:i?b)?$/i.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (!Number.isSafeInteger(bytes))
    throw usageError(`--${name} takes a size such as 64K, 16M or 1G, not "${text}"`);
  return bytes;
}

export function toText(text: string): string {
  return text;
}

export function toMilliseconds(text: string, name: string): number {
  const seconds = /^\d{1,6}(\.\d{1,3})?s?$/.test(text) ? Number.parseFloat(text) : Number.NaN;
  if (!(seconds > 0)) throw usageError(`--${name} takes a number of seconds, not "${text}"`);
  return seconds * 1000;
}

export function toBoolean(text: string, name: string): boolean {
  if (text !== "true" && text !== "false") throw usageError(`--${name} takes true or false, not "${text}"`);
  return text === "true";
}

export function toRelease(text: string, name: string): "verified" | "stream" {
  if (text !== "verified" && text !== "stream")
    throw usageError(`--${name} takes verified or stream, not "${text}"`);
  return text;
}

export function toReturns(text: string, name: string): "tar" {
  if (text !== "tar") throw usageError(`--${name} takes tar, not "${text}"`);
  return text;
}

/** "200" → times, "20G" → bytes. */
export function toExpansion(text: string, name: string): Expansion {
  if (/^0*[1-9]\d{0,8}$/.test(text)) return { times: Number(text), atLeast: SMALL_LAYER };
  if (/^\d+$/.test(text))
    throw usageError(`--${name} takes a number from 1 or a size such as 20G, not "${text}"`);
  return { times: 0, atLeast: toSize(text, name) };
}

export function usageError(message: string): DecoderError {
  return new DecoderError("USAGE", message, { hint: USAGE });
}
