import { statSync } from "node:fs";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import { LIMITS } from "../../limits.ts";
import { type Key, type PublicKey, readKeys } from "../../openpgp/openpgp.ts";
import type { WrapSettings } from "../scheme.ts";
import { unarmour } from "./armor.ts";
import { exportFromGpg } from "./gpg.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * The public key that a recipient stands for: a file, binary or ASCII-armoured, or a name in the gpg keyring.
 * @throws DecoderError BAD_RECIPIENT when there is none, or several, that can be encrypted for
 */
export async function readRecipientKey(recipient: string, settings: WrapSettings): Promise<PublicKey> {
  const data = isFile(recipient) ? readFile(recipient) : await exportFromGpg(recipient, settings);
  const keys = await parseKeys(data, recipient);
  if (keys.some((key) => key.isPrivate())) {
    throw bad(recipient, "is a secret key", {
      hint: "give the public key (gpg --export KEYID), and keep the secret one where images are decrypted",
    });
  }
  // Somebody's old, expired keys often stand beside the current one.
  const problems = await Promise.all(keys.map(problemOf));
  const usable = keys.filter((_, index) => problems[index] === undefined);
  const [key, another] = usable;
  if (another !== undefined) {
    throw bad(recipient, `stands for several keys: ${list(usable.map(nameOf))}`, {
      hint: "name one by its fingerprint, or give a file for each",
    });
  }
  if (key === undefined) {
    throw bad(
      recipient,
      `can't be encrypted for: ${list(keys.map((it, index) => `${nameOf(it)} ${problems[index]}`))}`,
    );
  }
  return key;
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function readFile(path: string): Bytes {
  try {
    return readSmallFile(path, LIMITS.keyFileBytes);
  } catch (error) {
    throw bad(path, `can't be read: ${describeSystemError(error)}`);
  }
}

async function parseKeys(data: Bytes, recipient: string): Promise<Key[]> {
  try {
    return await readKeys({ binaryKeys: unarmour(data) });
  } catch (error) {
    const why = error instanceof DecoderError ? `: ${error.message}` : "";
    throw bad(recipient, `is no well-formed OpenPGP public key${why}`);
  }
}

/** Why a key can't be encrypted for today. */
async function problemOf(key: Key): Promise<string | undefined> {
  try {
    await key.getEncryptionKey();
    return undefined;
  } catch {
    if (await key.isRevoked()) return "is revoked";
    const expires = await key.getExpirationTime().catch(() => null);
    if (expires instanceof Date && expires <= new Date())
      return `expired on ${expires.toISOString().slice(0, 10)}`;
    return "has no valid subkey for encryption: expired, revoked, for signing only, or of a kind not used (RSA below 2048 bits, ElGamal, rare curves)";
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

function bad(recipient: string, what: string, details: { hint?: string } = {}): DecoderError {
  return new DecoderError("BAD_RECIPIENT", `the recipient pgp:${recipient} ${what}`, details);
}
