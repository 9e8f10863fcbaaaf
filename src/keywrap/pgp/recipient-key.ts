import { statSync } from "node:fs";
import { unarmour } from "../../encoding/armour.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { DecoderError } from "../../errors.ts";
import { badRecipient, readRecipientFile } from "../../keys/recipient.ts";
import { type Key, type PublicKey, readKeys } from "../../openpgp/openpgp.ts";
import type { WrapSettings } from "../scheme.ts";
import { exportFromGpg } from "./gpg.ts";

/**
 * Reads a recipient's public key: from a file, binary or ASCII-armoured, or by name from the gpg keyring.
 * @throws DecoderError BAD_RECIPIENT unless exactly one key can be encrypted for
 */
export async function readRecipientKey(recipient: string, settings: WrapSettings): Promise<PublicKey> {
  return await chosenOf(await readRecipientKeys(recipient, settings), recipient);
}

/**
 * Reads the key that a recipient stands for. The only key of a file or name may have expired since it was encrypted for.
 * @throws DecoderError BAD_RECIPIENT if it stands for several keys
 */
export async function readNamedKey(recipient: string, settings: WrapSettings): Promise<Key> {
  const keys = await readRecipientKeys(recipient, settings);
  const [only] = keys;
  return only !== undefined && keys.length === 1 ? only : await chosenOf(keys, recipient);
}

/** The one key that can be encrypted for. */
async function chosenOf(keys: readonly Key[], recipient: string): Promise<PublicKey> {
  if (keys.some((key) => key.isPrivate())) {
    const hint =
      "give the public key (gpg --export KEYID), and keep the secret one where images are decrypted";
    throw bad(recipient, "is a secret key", hint);
  }
  // A file or name often has expired keys beside the current one.
  const problems = await Promise.all(keys.map(problemOf));
  const usable = keys.filter((_, index) => problems[index] === undefined);
  const [key, another] = usable;
  if (another !== undefined) {
    const hint = "name one by its fingerprint, or give a file for each";
    throw bad(recipient, `stands for several keys: ${list(usable.map(nameOf))}`, hint);
  }
  if (key === undefined) {
    throw bad(
      recipient,
      `can't be encrypted for: ${list(keys.map((it, index) => `${nameOf(it)} ${problems[index]}`))}`,
    );
  }
  return key;
}

/** Reads all keys of a file or name, also unusable ones. @throws DecoderError BAD_RECIPIENT */
export async function readRecipientKeys(recipient: string, settings: WrapSettings): Promise<readonly Key[]> {
  const data = isFile(recipient)
    ? await readRecipientFile({ scheme: "pgp", file: recipient })
    : await exportFromGpg(recipient, settings);
  return await parseKeys(data, recipient);
}

/** Whether a recipient is a file, a pipe or standard input rather than a name. */
function isFile(path: string): boolean {
  if (path === "-") return true;
  try {
    return !statSync(path).isDirectory();
  } catch {
    return false;
  }
}

async function parseKeys(data: Bytes, recipient: string): Promise<Key[]> {
  try {
    return await readKeys({ binaryKeys: unarmour(data) });
  } catch (error) {
    const why = error instanceof DecoderError ? `: ${error.message}` : "";
    throw bad(recipient, `is not a well-formed OpenPGP public key${why}`);
  }
}

/** Why a key can't be encrypted for now. Undefined when it can. */
async function problemOf(key: Key): Promise<string | undefined> {
  try {
    await key.getEncryptionKey();
    return undefined;
  } catch {
    if (await key.isRevoked()) return "is revoked";
    const expires = await key.getExpirationTime().catch(() => null);
    if (expires instanceof Date && expires <= new Date())
      return `expired on ${expires.toISOString().slice(0, 10)}`;
    return "has no valid encryption subkey: all are expired, revoked, for signing only, or of an unsupported kind (RSA below 2048 bits, ElGamal, rare curves)";
  }
}

function nameOf(key: Key): string {
  const [userId] = key.getUserIDs();
  return userId === undefined ? `0x${key.getFingerprint()}` : `0x${key.getFingerprint()} (${userId})`;
}

const SHOWN = 6;

function list(items: readonly string[]): string {
  const more = items.length > SHOWN ? `, and ${items.length - SHOWN} more` : "";
  return items.slice(0, SHOWN).join(", ") + more;
}

function bad(recipient: string, what: string, hint?: string): DecoderError {
  return badRecipient({ scheme: "pgp", file: recipient }, what, hint);
}
