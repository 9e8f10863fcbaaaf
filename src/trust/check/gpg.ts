import { unarmour } from "../../encoding/armour.ts";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../limits.ts";
import { config, type Key, readKeys, readMessage, verify } from "../../openpgp/openpgp.ts";
import * as SYSTEM_LIMITS from "../../system-limits.ts";
import { markHint } from "../byte-order-mark.ts";
import type { TrustFile } from "../requirement.ts";
import { untrusted } from "./message.ts";

interface VerifiedGpgMessage {
  /** What was signed. */
  readonly content: Uint8Array;
  /** Fingerprint of the primary key, lower-case hexadecimal. */
  readonly fingerprint: string;
  /** When the key or the signature expires, milliseconds since 1970; undefined if neither does. */
  readonly until: number | undefined;
}

const CONFIG = {
  ...config,
  minRSABits: LIMITS.rsaBitsMin - 1,
  // GnuPG replaces a key's self-signature when its expiry changes. Earlier signatures must still hold: see checkToday.
  allowInsecureVerificationWithReformattedKeys: true,
  maxDecompressedMessageSize: SYSTEM_LIMITS.signatureBytes,
};

/**
 * Verifies an OpenPGP signed message by a key that is valid today; GnuPG's trust in it does not matter.
 * @param keyrings any of their keys is enough
 * @throws DecoderError UNTRUSTED, BAD_KEY for a keyring that can't be read
 */
export async function verifyGpgMessage(
  message: Uint8Array,
  keyrings: readonly TrustFile[],
): Promise<VerifiedGpgMessage> {
  const keys = await joined((await Promise.all(keyrings.map(readKeyring))).flat());
  const { data, signatures } = await verified(message, keys);
  const [signature, another] = signatures;
  // containers/image takes messages with one signature only.
  if (signature === undefined || another !== undefined)
    throw untrusted(`the OpenPGP message has ${signatures.length} signatures instead of one`);
  const keyId = signature.keyID.toHex();
  const key = keys.find((it) => it.getKeyIDs().some((id) => id.equals(signature.keyID)));
  if (key === undefined)
    throw untrusted(`it is signed with the OpenPGP key 0x${keyId}, not with one of the policy`);
  let until: number;
  try {
    await signature.verified;
    await checkToday(key, keyId);
    const { packets } = await signature.signature;
    until = Math.min(...(await endsOf(key, keyId)), ...packets.map((it) => timeOf(it.getExpirationTime())));
  } catch {
    throw untrusted(
      `its signature with the OpenPGP key 0x${keyId} is not valid: it is wrong, expired, or by a key that is expired or revoked`,
    );
  }
  return { content: data, fingerprint: key.getFingerprint(), until: until < NEVER ? until : undefined };
}

/** Joins the copies of each key as gpg does. A revocation in one of them counts, whichever comes first. */
async function joined(copies: readonly Key[]): Promise<readonly Key[]> {
  const keys = new Map<string, Key>();
  // OpenPGP.js joins a private key with a public one only if both have the same subkeys.
  for (const copy of copies.map((it) => it.toPublic())) {
    const fingerprint = copy.getFingerprint();
    keys.set(fingerprint, (await keys.get(fingerprint)?.update(copy, new Date(), CONFIG)) ?? copy);
  }
  return [...keys.values()];
}

const NEVER = Number.POSITIVE_INFINITY;

/** When a primary key and its part that signed expire. */
async function endsOf(key: Key, keyId: string): Promise<readonly number[]> {
  const subkey = key.getSubkeys().find((it) => it.getKeyID().toHex() === keyId);
  const ends = await Promise.all([
    key.getExpirationTime(undefined, CONFIG),
    subkey === undefined ? NEVER : subkey.getExpirationTime(new Date(), CONFIG),
  ]);
  return ends.map(timeOf);
}

/** @param end null: the key is not valid at all */
function timeOf(end: Date | number | null): number {
  return end === null ? 0 : Number(end);
}

async function verified(message: Uint8Array, keys: readonly Key[]) {
  try {
    return await verify({
      message: await readMessage({ binaryMessage: new Uint8Array(message), config: CONFIG }),
      verificationKeys: [...keys],
      format: "binary",
      config: CONFIG,
    });
  } catch {
    throw untrusted("the signature is not a well-formed OpenPGP signed message");
  }
}

/** A signature made while the primary key and its part were valid does not outlive them. @throws Error */
async function checkToday(key: Key, keyId: string): Promise<void> {
  const now = new Date();
  const part = key.getKeys().find((it) => it.getKeyID().toHex() === keyId);
  await key.getSigningKey(part?.getKeyID(), now, undefined, CONFIG);
}

/** @throws DecoderError BAD_KEY */
export async function readKeyring({ name, bytes }: TrustFile): Promise<Key[]> {
  try {
    // OpenPGP.js reads the first block of a text only. Others may hold more keys, or a revocation.
    return await readKeys({ binaryKeys: unarmour(new Uint8Array(bytes)), config: CONFIG });
  } catch {
    throw new DecoderError("BAD_KEY", `${name} is not an OpenPGP keyring`, {
      hint: markHint(bytes) ?? "gpg --export KEYID writes one",
    });
  }
}
