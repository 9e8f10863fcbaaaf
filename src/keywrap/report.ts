import { DecoderError, type ErrorCode } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import { isLocked } from "../keys/locked.ts";
import { LIMITS } from "../limits.ts";
import type { Attempt, KeyName, SchemeSettings } from "./scheme.ts";

export interface RecordedAttempt extends Attempt {
  /** The annotation's suffix, and which of its packets. */
  readonly scheme: string;
  readonly packet: number;
  /** Set when the packet itself, or the service asked, was at fault rather than the key. */
  readonly error?: ErrorCode;
  /** Its own advice. */
  readonly hint?: string | undefined;
}

/** Lines of each list that a message shows; the rest is counted. */
const SHOWN = 12;

/** The error for a layer that nothing opened: what it is wrapped for, what was tried, and what could not be used. */
export async function unopened(
  attempts: readonly RecordedAttempt[],
  keys: KeySet,
  { keysHint }: SchemeSettings,
): Promise<DecoderError> {
  const codes = new Set(attempts.map((attempt) => attempt.error));
  const [only] = codes;
  const code = codes.size === 1 && only !== undefined ? only : "NO_KEY";
  const tried = await Promise.all(attempts.slice(0, SHOWN).map(renderAttempt));
  const message = [
    `no key here opens this layer, which is wrapped for ${wrappedFor(attempts)}`,
    list("tried", tried, attempts.length),
    list(
      "not usable",
      keys.skipped.slice(0, SHOWN).map(({ origin, reason }) => `${origin}: ${reason}`),
      keys.skipped.length,
    ),
  ].join("");
  return new DecoderError(code, message.slice(0, LIMITS.messageChars), {
    hint: hintFor(code, attempts, keys, keysHint),
  });
}

function wrappedFor(attempts: readonly RecordedAttempt[]): string {
  const bySchemes = new Map<string, Set<string>>();
  for (const { scheme, recipient } of attempts) {
    const recipients = bySchemes.get(scheme) ?? new Set();
    if (recipient !== undefined) recipients.add(recipient);
    bySchemes.set(scheme, recipients);
  }
  return [...bySchemes]
    .map(([scheme, recipients]) => {
      const shown = [...recipients].slice(0, SHOWN).join(", ");
      const more = recipients.size > SHOWN ? `, and ${recipients.size - SHOWN} more` : "";
      return recipients.size === 0 ? scheme : `${scheme} (${shown}${more})`;
    })
    .join(", ");
}

function list(title: string, items: readonly string[], total: number): string {
  if (items.length === 0) return "";
  const more = total > items.length ? `; and ${total - items.length} more` : "";
  return `; ${title}: ${items.join("; ")}${more}`;
}

async function renderAttempt({ scheme, packet, recipient, key, outcome }: RecordedAttempt): Promise<string> {
  const where = packet === 0 ? scheme : `${scheme} packet ${packet + 1}`;
  const what = [where, recipient].filter((part) => part !== undefined).join(" ");
  return key === undefined ? `${what}: ${outcome}` : `${what} with ${await keyName(key)}: ${outcome}`;
}

/** A key of the key set by file, `kid` or short fingerprint, and size. */
async function keyName(key: KeyName): Promise<string> {
  if (typeof key === "string") return key;
  const kind = key.type === "rsa" ? `RSA ${key.modulusLength}` : `EC ${key.curve}`;
  return `${key.origin} (${kind}, ${key.kid === undefined ? await fingerprintOf(key) : `kid=${key.kid.slice(0, 80)}`})`;
}

async function fingerprintOf(key: Exclude<KeyName, string>): Promise<string> {
  const { fingerprint, shortFingerprint } = await import("../keys/fingerprint.ts");
  try {
    return shortFingerprint(fingerprint(key));
  } catch {
    return "malformed";
  }
}

function hintFor(
  code: ErrorCode,
  attempts: readonly RecordedAttempt[],
  keys: KeySet,
  keysHint: string | undefined,
): string {
  if (code !== "NO_KEY") return attempts.find(({ hint }) => hint !== undefined)?.hint ?? ELSEWHERE;
  if (keys.skipped.some(({ reason }) => isLocked(reason))) return LOCKED;
  const have = keys.keys.length + keys.pgp.length + keys.pkcs11.length;
  if (have === 0) return keysHint ?? NO_KEYS;
  return "compare with the recipients the image was encrypted for: ctd-decoder inspect IMAGE";
}

const NO_KEYS = "put this node's private key into the folder that --decryption-keys-path names";
const LOCKED =
  "put each encrypted key's password into a file of the key's name, in the folder that --key-passwords-path names";
const ELSEWHERE = "the image's annotations, or the service or token named above, are at fault, not the keys";
