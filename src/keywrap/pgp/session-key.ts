import { constants, privateDecrypt, randomBytes } from "node:crypto";
import type { Bytes } from "../../encoding/bytes.ts";
import { unpadPkcs1 } from "../../keys/rsa.ts";
import { PublicKeyEncryptedSessionKeyPacket } from "../../openpgp/openpgp.ts";
import { CIPHERS, KEY_ALGORITHMS } from "./algorithms.ts";
import type { SecretKey } from "./secret-key.ts";
import { firstNumber, type SessionKeyPacket } from "./session-key-packet.ts";

export interface SessionKey {
  /** RFC 9580 §9.3. */
  readonly cipher: number;
  readonly key: Bytes;
}

/** Members of openpgp.js's packet that its types omit. */
interface EncryptedSessionKey {
  read(body: Uint8Array): void;
  decrypt(key: SecretKey["packet"]): Promise<void>;
  readonly sessionKey: Uint8Array;
  readonly sessionKeyAlgorithm: number | null;
}

const FALLBACK_CIPHER = 9;

/**
 * Opens one recipient's session key with one private-key operation. Returns a random key when that fails, so that only the data's
 * own integrity check fails. Otherwise the maker of the packet could learn about other messages (Bleichenbacher's attack,
 * RFC 9580 §13.2).
 * @param expected the data's cipher, if the data names it
 */
export async function openSessionKey(
  recipient: SessionKeyPacket,
  key: SecretKey,
  expected: number | undefined,
): Promise<SessionKey> {
  const random = randomSessionKey(expected ?? FALLBACK_CIPHER);
  try {
    return KEY_ALGORITHMS.get(recipient.algorithm)?.type === "rsa"
      ? openRsa(recipient, key, expected, random)
      : await openOther(recipient, key, expected, random);
  } catch {
    return random;
  }
}

function randomSessionKey(cipher: number): SessionKey {
  const length = CIPHERS.get(cipher)?.keyBytes ?? 0;
  return { cipher, key: new Uint8Array(randomBytes(length)) };
}

/** openpgp.js checks the session key and throws when it is malformed. */
async function openOther(
  { body }: SessionKeyPacket,
  key: SecretKey,
  expected: number | undefined,
  random: SessionKey,
): Promise<SessionKey> {
  const packet = new PublicKeyEncryptedSessionKeyPacket() as unknown as EncryptedSessionKey;
  packet.read(body);
  await packet.decrypt(key.packet);
  const cipher = expected ?? packet.sessionKeyAlgorithm ?? 0;
  const found = new Uint8Array(packet.sessionKey);
  packet.sessionKey.fill(0);
  return CIPHERS.get(cipher)?.keyBytes === found.length ? { cipher, key: found } : random;
}

/** Runtimes refuse PKCS#1 v1.5 decryption, or reject bad padding in ways of their own. So they do only the RSA operation. */
function openRsa(
  recipient: SessionKeyPacket,
  key: SecretKey,
  expected: number | undefined,
  random: SessionKey,
): SessionKey {
  const number = firstNumber(recipient.fields);
  const encrypted = new Uint8Array(key.publicBytes);
  encrypted.set(number, encrypted.length - number.length);
  const block = privateDecrypt({ key: key.rsaKey(), padding: constants.RSA_NO_PADDING }, encrypted);
  const ciphers = expected === undefined ? [...CIPHERS.keys()] : [expected];
  const found = ciphers.map((cipher) => decodeSessionKey(block, cipher, recipient.version === 3));
  block.fill(0);
  return found.find((candidate) => candidate !== undefined) ?? random;
}

const CHECKSUM_BYTES = 2;

/** RFC 9580 §5.1.3: the cipher (in version 3 only), the key, and the sum of the key's octets. */
function decodeSessionKey(block: Uint8Array, cipher: number, withCipher: boolean): SessionKey | undefined {
  const keyStart = withCipher ? 1 : 0;
  const keyEnd = keyStart + (CIPHERS.get(cipher)?.keyBytes ?? 0);
  // Random bytes pass the checks below once in 2²⁴ times, which is harmless.
  const encoded = unpadPkcs1(block, new Uint8Array(randomBytes(keyEnd + CHECKSUM_BYTES)));
  const key = encoded.slice(keyStart, keyEnd);
  const sum = key.reduce((total, byte) => (total + byte) & 0xffff, 0);
  const stated = ((encoded[keyEnd] ?? 0) << 8) | (encoded[keyEnd + 1] ?? 0);
  const wrong = (sum ^ stated) | (withCipher ? (encoded[0] ?? 0) ^ cipher : 0);
  encoded.fill(0);
  return wrong === 0 ? { cipher, key } : undefined;
}
