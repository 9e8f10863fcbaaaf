import { type RsaNumbers, readCertificate, rsaNumbersOf, usualKeyId } from "../../keys/certificate.ts";
import type { KeySet, RsaKey } from "../../keys/keyset.ts";
import { mayBeFor } from "../../keys/rsa.ts";
import { issuerIdentity, type KeyTransportRecipient, keyIdentity, type Recipient } from "./recipient.ts";

/** A key that may open a recipient's part of a packet. */
interface Candidate {
  readonly recipient: Recipient;
  readonly keyTransport: KeyTransportRecipient;
  readonly key: RsaKey;
}

/** The distinct RSA keys of a key set, by the identities that recipients name. */
interface KeyIndex {
  readonly keys: readonly RsaKey[];
  /** A recipient's identity → the moduli of the certificates and keys that have it. */
  readonly moduli: ReadonlyMap<string, ReadonlySet<string>>;
  readonly byModulus: ReadonlyMap<string, RsaKey>;
}

const indexes = new WeakMap<KeySet, KeyIndex>();

/** Receives each recipient that no key here may open, and why. */
type Skip = (recipient: Recipient, why: string) => void;

/**
 * Yields the pairs of a recipient and a key that are worth a private-key operation, the surest first. A recipient whose
 * certificate is here needs the certificate's key. Any other may be for each remaining key of the right length.
 */
export function* candidates(
  recipients: readonly Recipient[],
  keySet: KeySet,
  skip: Skip,
): Generator<Candidate> {
  const index = indexOf(keySet);
  const remaining = new Set(index.keys);
  const unnamed: [Recipient, KeyTransportRecipient][] = [];
  for (const recipient of recipients) {
    const { keyTransport } = recipient;
    if (keyTransport === undefined) {
      skip(recipient, "this way of wrapping is not supported");
      continue;
    }
    const moduli = index.moduli.get(keyTransport.identity);
    if (moduli === undefined) {
      unnamed.push([recipient, keyTransport]);
      continue;
    }
    const keys = [...moduli].flatMap((modulus) => index.byModulus.get(modulus) ?? []);
    const fitting = keys.filter((key) => fits(key, keyTransport));
    if (keys.length === 0) skip(recipient, "the private key to its certificate is missing");
    else if (fitting.length === 0)
      skip(recipient, "its encrypted key is not as long as its certificate's key");
    for (const key of fitting) {
      remaining.delete(key);
      yield { recipient, keyTransport, key };
    }
  }
  yield* guessed(unnamed, [...remaining], skip);
}

/** Goes key by key, so that each is imported once. */
function* guessed(
  unnamed: readonly [Recipient, KeyTransportRecipient][],
  keys: readonly RsaKey[],
  skip: Skip,
): Generator<Candidate> {
  for (const [recipient, keyTransport] of unnamed) {
    if (!keys.some((key) => fits(key, keyTransport))) {
      skip(recipient, `no further RSA key of ${keyTransport.encryptedKey.length * 8} bits to try`);
    }
  }
  for (const key of keys) {
    for (const [recipient, keyTransport] of unnamed) {
      if (fits(key, keyTransport)) yield { recipient, keyTransport, key };
    }
  }
}

/** RFC 8017 §7.2.2 step 1: a ciphertext is as long as the modulus. */
function fits(key: RsaKey, { encryptedKey }: KeyTransportRecipient): boolean {
  return mayBeFor(key, encryptedKey);
}

function indexOf(keySet: KeySet): KeyIndex {
  const known = indexes.get(keySet);
  if (known !== undefined) return known;
  const moduli = new Map<string, Set<string>>();
  const add = (identity: string, modulus: string) => {
    const set = moduli.get(identity);
    if (set) set.add(modulus);
    else moduli.set(identity, new Set([modulus]));
  };
  const byModulus = new Map<string, RsaKey>();
  for (const key of keySet.keys) {
    const numbers = key.type === "rsa" ? rsaNumbersOf(key.pkcs8.bytes) : null;
    if (key.type !== "rsa" || numbers === null) continue;
    byModulus.set(modulusOf(numbers), key);
    add(keyIdentity(usualKeyId(numbers)), modulusOf(numbers));
  }
  for (const { der } of keySet.certificates) {
    const fields = readCertificate(der);
    if (!fields?.rsa) continue;
    add(issuerIdentity(fields.issuer.whole, fields.serial.whole), modulusOf(fields.rsa));
    add(keyIdentity(fields.keyId ?? usualKeyId(fields.rsa)), modulusOf(fields.rsa));
  }
  const index = { keys: [...byModulus.values()], moduli, byModulus };
  indexes.set(keySet, index);
  return index;
}

function modulusOf({ modulus }: RsaNumbers): string {
  return Buffer.from(modulus.content).toString("hex");
}
