import { createCipheriv, createHash, randomBytes, type webcrypto } from "node:crypto";
import { encryptSessionKey, generateKey, type PrivateKey, type PublicKey } from "openpgp";
import type { KeySet, PgpKeyring } from "../../../../src/keys/keyset.ts";
import type { Attempt, UnwrapContext, WrapSettings } from "../../../../src/keywrap/scheme.ts";
import { Secret } from "../../../../src/secret.ts";
import { rsaPair } from "../../../support/rsa.ts";

/** OpenPGP keys and messages, well-formed and otherwise, and what unwrapping them needs. */
type Bytes = Uint8Array<ArrayBuffer>;

/** What the messages hold. */
export const OPTIONS = Buffer.from('{"symkey":"c2VjcmV0","cipheroptions":{"nonce":"bm9uY2U="}}');

// OpenPGP.js makes RSA keys with this function. It then gets keys that were made before.
const { subtle } = globalThis.crypto;
const generate = subtle.generateKey.bind(subtle) as (...args: readonly unknown[]) => Promise<unknown>;
const generateOrTake = async (...args: Parameters<typeof generate>) => {
  const algorithm = args[0] as Partial<webcrypto.RsaHashedKeyGenParams>;
  if (algorithm.modulusLength === undefined) return await generate(...args);
  const { privateKey, publicKey } = rsaPair(algorithm.modulusLength);
  return {
    privateKey: privateKey.toCryptoKey(algorithm as webcrypto.RsaHashedKeyGenParams, true, ["sign"]),
    publicKey: publicKey.toCryptoKey(algorithm as webcrypto.RsaHashedKeyGenParams, true, ["verify"]),
  };
};
subtle.generateKey = generateOrTake as typeof subtle.generateKey;

type KeyOptions = Partial<Omit<Parameters<typeof generateKey>[0], "format">>;

export async function makeKey(options: KeyOptions = {}): Promise<PrivateKey> {
  const { privateKey } = await generateKey({
    type: "ecc",
    curve: "nistP256",
    userIDs: [{ name: "Alice", email: "alice@example.org" }],
    ...options,
    format: "object",
  });
  return privateKey;
}

export function keyring(key: { write(): Uint8Array } | Uint8Array, ...passphrases: string[]): PgpKeyring {
  return {
    data: bytes(key instanceof Uint8Array ? key : key.write()),
    origin: "ring",
    passphrases: passphrases.map((passphrase) => new Secret(bytes(Buffer.from(passphrase)))),
  };
}

export interface RecordingContext extends UnwrapContext {
  readonly attempts: readonly Attempt[];
  /** Calls of `spend`. */
  readonly operations: () => number;
}

export function contextWith(...keyrings: PgpKeyring[]): RecordingContext {
  const attempts: Attempt[] = [];
  let operations = 0;
  const keys: KeySet = {
    keys: [],
    certificates: [],
    keyrings,
    tokenKeys: [],
    parameters: new Map(),
    skipped: [],
  };
  return {
    keys,
    settings: SETTINGS,
    name: "",
    record: (attempt) => attempts.push(attempt),
    spend: () => {
      operations++;
    },
    attempts,
    operations: () => operations,
  };
}

export const SETTINGS: WrapSettings = {
  environment: process.env,
  providerTimeoutMs: 1000,
  providerLegacyDc: false,
  verbose: false,
};

export function bytes(...parts: readonly (Uint8Array | readonly number[])[]): Bytes {
  return new Uint8Array(Buffer.concat(parts.map((part) => Uint8Array.from(part))));
}

/** A packet with a five-octet length (RFC 9580 §4.2.1.3). */
export function packet(tag: number, ...body: readonly (Uint8Array | readonly number[])[]): Bytes {
  const content = bytes(...body);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, content.length);
  return bytes([0xc0 | tag, 0xff], length, content);
}

/** A literal packet (RFC 9580 §5.9): binary, no name, no date. */
export function literal(content: Uint8Array = OPTIONS): Bytes {
  return packet(11, [0x62, 0, 0, 0, 0, 0], content);
}

/** A session key for these keys, and the data it encrypts: whatever `plain` is. */
export async function seal(
  keys: PublicKey | PublicKey[],
  plain: Uint8Array,
  { hidden = false, mdc = true } = {},
): Promise<Bytes> {
  const data = bytes(randomBytes(32));
  const sessionKeys: unknown = await encryptSessionKey({
    data,
    algorithm: "aes256",
    encryptionKeys: keys,
    wildcard: hidden,
    format: "binary",
  });
  return bytes(sessionKeys as Uint8Array, protectedData(data, plain, mdc));
}

/** Integrity-protected data of version 1 (RFC 9580 §5.13.1), by AES-256. */
export function protectedData(key: Uint8Array, plain: Uint8Array, mdc = true): Bytes {
  const prefix = randomBytes(16);
  const hashed = bytes(prefix, prefix.subarray(14), plain, mdc ? [0xd3, 0x14] : []);
  const digest = mdc ? createHash("sha1").update(hashed).digest() : [];
  const cipher = createCipheriv("aes-256-cfb", key, Buffer.alloc(16));
  return packet(18, [1], cipher.update(bytes(hashed, digest)), cipher.final());
}
