import { DecoderError, type ErrorCode } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import { LIMITS } from "../limits.ts";
import type { Attempt, KeyName } from "./scheme.ts";

export interface RecordedAttempt extends Attempt {
  /** The annotation's suffix, and the index of its packet. */
  readonly scheme: string;
  readonly packet: number;
  /** Set when the packet, a service or a token failed rather than the key. */
  readonly error?: ErrorCode;
  /** The failure's own hint. */
  readonly hint?: string | undefined;
}

/** Entries of each list that a message shows. The others are counted. */
const SHOWN = 12;
const LABEL_CHARS = 80;

/** The error for a layer that nothing opened: its recipients, the attempts, and the unusable keys. */
export async function unopened(attempts: readonly RecordedAttempt[], keys: KeySet): Promise<DecoderError> {
  const codes = new Set(attempts.map((attempt) => attempt.error));
  const [only] = codes;
  const code = codes.size === 1 && only !== undefined ? only : "NO_KEY";
  const tried = await Promise.all(attempts.slice(0, SHOWN).map(renderAttempt));
  const skipped = keys.skipped.slice(0, SHOWN).map(({ origin, reason }) => `${origin}: ${reason}`);
  const message = [
    `no key here opens this layer, which is wrapped for ${wrappedFor(attempts)}`,
    list("tried", tried, attempts.length),
    list("not usable", skipped, keys.skipped.length),
  ].join("");
  return new DecoderError(code, message.slice(0, LIMITS.messageChars), {
    hint: hintFor(code, attempts, keys),
  });
}

function wrappedFor(attempts: readonly RecordedAttempt[]): string {
  const byScheme = new Map<string, Set<string>>();
  for (const { scheme, recipient } of attempts) {
    const recipients = byScheme.get(scheme) ?? new Set();
    if (recipient !== undefined) recipients.add(recipient);
    byScheme.set(scheme, recipients);
  }
  return [...byScheme]
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

/** A key of the key set by origin, size, and `kid` or fingerprint. */
async function keyName(key: KeyName): Promise<string> {
  if (typeof key === "string") return key;
  const kind = key.type === "rsa" ? `RSA ${key.modulusLength}` : `EC ${key.curve}`;
  const id = key.kid === undefined ? await fingerprintOf(key) : `kid=${key.kid.slice(0, LABEL_CHARS)}`;
  return `${key.origin} (${kind}, ${id})`;
}

async function fingerprintOf(key: Exclude<KeyName, string>): Promise<string> {
  const { fingerprint, shortFingerprint } = await import("../keys/fingerprint.ts");
  try {
    return shortFingerprint(fingerprint(key));
  } catch {
    return "malformed";
  }
}

function hintFor(code: ErrorCode, attempts: readonly RecordedAttempt[], keys: KeySet): string {
  if (code !== "NO_KEY") return attempts.find(({ hint }) => hint !== undefined)?.hint ?? ELSEWHERE;
  if (keys.skipped.some(({ isLocked }) => isLocked)) return LOCKED;
  const have = keys.keys.length + keys.keyrings.length + keys.tokenKeys.length;
  if (have === 0) return keys.advice ?? NO_KEYS;
  return "compare with the recipients that the image was encrypted for: ctd-decoder inspect IMAGE";
}

const NO_KEYS = "put this node's private key into the folder that --decryption-keys-path names";
const LOCKED =
  "put each encrypted key's password into a file of the key's name, in the folder that --key-passwords-path names";
const ELSEWHERE = "the image's annotations, or the service or token named above, failed rather than the keys";
