import { unarmour } from "../../encoding/armour.ts";
import { DecoderError } from "../../errors.ts";
import type { PgpKeyring } from "../../keys/keyset.ts";
import * as LIMITS from "../../limits.ts";
import { SecretKeyPacket, SecretSubkeyPacket } from "../../openpgp/openpgp.ts";
import type { Attempt } from "../scheme.ts";
import { KEY_ALGORITHMS } from "./algorithms.ts";
import { type Packet, readPackets, TAG } from "./framing.ts";
import { SecretKey } from "./secret-key.ts";
import { firstNumber, type SessionKeyPacket } from "./session-key-packet.ts";

/** The available OpenPGP keys that can decrypt. */
export class Keychain {
  /** Unusable keyrings and keys. */
  readonly unusable: readonly Attempt[];
  readonly #keys: readonly SecretKey[];
  readonly #byId = new Map<string, SecretKey[]>();

  constructor(keys: readonly SecretKey[], unusable: readonly Attempt[]) {
    this.unusable = unusable;
    // Few messages are encrypted for a primary key, so subkeys come first.
    this.#keys = keys.toSorted((a, b) => Number(b.isSubkey) - Number(a.isSubkey));
    for (const key of keys) {
      for (const id of [key.keyId, key.fingerprint]) this.#byId.set(id, [...(this.#byId.get(id) ?? []), key]);
    }
  }

  /** Keys that may belong to a recipient: the named ones or, for a hidden recipient, those of its type and size. */
  keysFor(recipient: SessionKeyPacket): readonly SecretKey[] {
    const { keyId, algorithm } = recipient;
    const type = KEY_ALGORITHMS.get(algorithm)?.type;
    const named =
      keyId === undefined ? this.#keys.filter((key) => isOfSize(recipient, key)) : this.#byId.get(keyId);
    return (named ?? []).filter((key) => KEY_ALGORITHMS.get(key.packet.algorithm)?.type === type);
  }
}

/** One in 2¹²⁸ random numbers below a modulus is this many bytes shorter. */
const SHORTER_AT_MOST = 16;

function isOfSize({ algorithm, fields }: SessionKeyPacket, key: SecretKey): boolean {
  const type = KEY_ALGORITHMS.get(algorithm)?.type;
  if (type === "x25519" || type === "x448") return true;
  const bytes = firstNumber(fields).length;
  return bytes <= key.publicBytes && bytes > key.publicBytes - SHORTER_AT_MOST;
}

/** A layer has many packets and an image many layers. Keyrings are read, and keys unlocked, once. */
const read = new WeakMap<readonly PgpKeyring[], Promise<Keychain>>();

export function keychainOf(keyrings: readonly PgpKeyring[]): Promise<Keychain> {
  let keychain = read.get(keyrings);
  if (keychain === undefined) {
    keychain = readKeyrings(keyrings);
    read.set(keyrings, keychain);
  }
  return keychain;
}

async function readKeyrings(keyrings: readonly PgpKeyring[]): Promise<Keychain> {
  const keys: SecretKey[] = [];
  const unusable: Attempt[] = [];
  for (const keyring of keyrings) {
    try {
      const found = await readKeyring(keyring, unusable);
      keys.push(...found);
      if (found.length === 0)
        unusable.push({ key: keyring.origin, outcome: "it has no key that can decrypt" });
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      unusable.push({ key: keyring.origin, outcome: error.message });
    }
  }
  return new Keychain(keys, unusable);
}

/** Reads the secret keys only. Messages name their keys by ID, so user IDs and signatures are not needed. */
async function readKeyring(keyring: PgpKeyring, unusable: Attempt[]): Promise<SecretKey[]> {
  const keys: SecretKey[] = [];
  for (const packet of readPackets(unarmour(keyring.data))) {
    if (!canDecrypt(packet)) continue;
    try {
      const key = await readKeyPacket(packet, keyring);
      if (key.publicBytes * 8 <= LIMITS.rsaBitsMax) keys.push(key);
      else unusable.push({ key: key.label, outcome: `it has more than ${LIMITS.rsaBitsMax} bits` });
    } catch {
      // The message of openpgp.js may quote the key, so it is dropped.
      unusable.push({ key: keyring.origin, outcome: "it has a malformed key, or one of an unknown kind" });
    }
  }
  return keys;
}

/** RFC 9580 §5.5.2: a key packet begins with version, four octets of time, and algorithm. */
const ALGORITHM_OFFSET = 5;

function canDecrypt({ tag, body }: Packet): boolean {
  const isSecret = tag === TAG.secretKey || tag === TAG.secretSubkey;
  return isSecret && KEY_ALGORITHMS.has(body[ALGORITHM_OFFSET] ?? 0);
}

async function readKeyPacket({ tag, body }: Packet, keyring: PgpKeyring): Promise<SecretKey> {
  const packet = tag === TAG.secretKey ? new SecretKeyPacket() : new SecretSubkeyPacket();
  await packet.read(body);
  return new SecretKey(packet, keyring);
}
