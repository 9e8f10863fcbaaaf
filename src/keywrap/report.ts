import { DecoderError, type ErrorCode } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import * as LIMITS from "../limits.ts";
import type { Attempt, KeyName } from "./scheme.ts";

export interface RecordedAttempt extends Attempt {
  /** The annotation's suffix, and the index of its packet. */
  readonly scheme: string;
  readonly packet: number;
  /** Set when the packet, a service or a token failed rather than the key. */
  readonly error?: ErrorCode;
}

/** Entries of each list that a message shows. The others are counted. */
const SHOWN = 12;
const LABEL_CHARS = 80;

/** The error for a layer that nothing opened: its recipients, the attempts, and the unusable keys. */
export async function unopened(attempts: readonly RecordedAttempt[], keys: KeySet): Promise<DecoderError> {
  const codes = new Set(attempts.map((attempt) => attempt.error));
  const [only] = codes;
  const code = codes.size === 1 && only !== undefined ? only : "NO_KEY";
  const alike = alikeAttempts(attempts);
  const tried = await Promise.all(alike.slice(0, SHOWN).map(renderAttempts));
  const skipped = keys.skipped.slice(0, SHOWN).map(({ origin, reason }) => `${origin}: ${reason}`);
  const message = [
    `no key here opens this layer, which is wrapped for ${wrappedFor(attempts)}`,
    list("tried", tried, alike.length),
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

/** Attempts with one key that failed for the same reason. */
type Alike = [RecordedAttempt, ...RecordedAttempt[]];

/** Groups the attempts with each key by reason. The message already lists the recipients. */
function alikeAttempts(attempts: readonly RecordedAttempt[]): readonly Alike[] {
  const groups: Alike[] = [];
  const ofKey = new Map<KeyName, Alike[]>();
  for (const attempt of attempts) {
    const { scheme, key, outcome } = attempt;
    const known = key === undefined ? undefined : ofKey.get(key);
    const group = known?.find(([it]) => it.scheme === scheme && it.outcome === outcome);
    if (group !== undefined) {
      group.push(attempt);
      continue;
    }
    const started: Alike = [attempt];
    groups.push(started);
    if (known !== undefined) known.push(started);
    else if (key !== undefined) ofKey.set(key, [started]);
  }
  return groups;
}

async function renderAttempts([first, ...others]: Alike): Promise<string> {
  const { scheme, packet, recipient, key, outcome } = first;
  const where = packet === 0 ? scheme : `${scheme} packet ${packet + 1}`;
  const what =
    others.length > 0
      ? `${scheme}, ${others.length + 1} recipients,`
      : [where, recipient].filter((part) => part !== undefined).join(" ");
  return key === undefined ? `${what}: ${outcome}` : `${what} with ${await keyName(key)}: ${outcome}`;
}

/** Names a key of the key set by origin, size and `kid`. */
async function keyName(key: KeyName): Promise<string> {
  if (typeof key === "string") return key;
  const kind = key.type === "rsa" ? `RSA ${key.modulusLength}` : `EC ${key.curve}`;
  const { kidOf } = await import("../keys/thumbprint.ts");
  try {
    return `${key.origin} (${kind}, kid=${kidOf(key).slice(0, LABEL_CHARS)})`;
  } catch {
    return `${key.origin} (${kind}, malformed)`;
  }
}

function hintFor(code: ErrorCode, attempts: readonly RecordedAttempt[], keys: KeySet): string {
  if (code !== "NO_KEY") return attempts.find(({ hint }) => hint !== undefined)?.hint ?? ELSEWHERE;
  if ([...keys.skipped, ...attempts].some(({ isLocked }) => isLocked)) return LOCKED;
  // A layer for services alone: no key that could be added here would open it.
  const [own] = attempts;
  if (own?.hint !== undefined && attempts.every(({ hint }) => hint !== undefined)) return own.hint;
  const have = keys.keys.length + keys.keyrings.length + keys.tokenKeys.length;
  if (have === 0 && keys.advice !== undefined) return keys.advice;
  return "compare with the recipients that the image was encrypted for: ctd-decoder inspect IMAGE";
}

const LOCKED =
  "put each encrypted key's password into a file of the key's name, in the folder that --key-passwords-path names";
const ELSEWHERE = "the image's annotations, or the service or token named above, failed rather than the keys";
