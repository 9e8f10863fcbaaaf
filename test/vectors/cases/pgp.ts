import { createCipheriv, createHash, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readPackets } from "../../../src/keywrap/pgp/framing.ts";
import { literal, packet as pgpPacket } from "../../unit/keywrap/pgp/messages.ts";
import { type Case, PGP, PKCS11 } from "../build.ts";
import { b64, b64u, type Dice, json, KEYS, rsaPkcs1 } from "../material.ts";

const packet = "BAD_PACKET";
const noKey = "NO_KEY";
const keys = { "node.gpg": "rsa2048.gpg" };

/** The keyring's primary key: an RSA key that may do everything. */
function recipient() {
  const body = Buffer.from(
    readPackets(new Uint8Array(readFileSync(join(KEYS, "rsa2048.gpg"))))[0]?.body ?? [],
  );
  const bits = body.readUInt16BE(6);
  const modulus = body.subarray(8, 8 + bits / 8);
  const end = 8 + modulus.length;
  const exponent = body.subarray(end + 2, end + 2 + Math.ceil(body.readUInt16BE(end) / 8));
  // RFC 9580 §5.5.4.2: version, time, algorithm and the public numbers.
  const open = body.subarray(0, end + 2 + exponent.length);
  const head = Buffer.of(0x99, open.length >> 8, open.length & 0xff);
  const fingerprint = createHash("sha1").update(head).update(open).digest();
  const key = createPublicKey({ format: "jwk", key: { kty: "RSA", n: b64u(modulus), e: b64u(exponent) } });
  return { key, keyId: fingerprint.subarray(12) };
}

interface Parts {
  readonly keyId?: Buffer;
  readonly version?: number;
  readonly algorithm?: number;
  readonly cipher?: number;
  readonly checksum?: number;
  readonly number?: (it: Buffer) => Buffer;
  readonly dataVersion?: number;
  readonly inner?: (options: Buffer) => Uint8Array;
  readonly mdc?: (it: Buffer) => Buffer;
  readonly data?: (it: Buffer) => Buffer;
  readonly whole?: (session: Buffer, data: Buffer) => Buffer;
}

const mpi = (bytes: Buffer) =>
  Buffer.concat([Buffer.of((bytes.length * 8) >> 8, (bytes.length * 8) & 0xff), bytes]);

function write(options: Buffer, dice: Dice, it: Parts): Buffer {
  const { key, keyId } = recipient();
  const sessionKey = dice.bytes(32);
  const sum = sessionKey.reduce((total, byte) => (total + byte) & 0xffff, it.checksum ?? 0);
  const secret = Buffer.concat([Buffer.of(it.cipher ?? 9), sessionKey, Buffer.of(sum >> 8, sum & 0xff)]);
  const wrapped = mpi(rsaPkcs1(key, secret, dice));
  const session = pgpPacket(
    1,
    [it.version ?? 3],
    it.keyId ?? keyId,
    [it.algorithm ?? 1],
    it.number?.(wrapped) ?? wrapped,
  );
  const prefix = dice.bytes(16);
  const hashed = Buffer.concat([
    prefix,
    prefix.subarray(14),
    it.inner?.(options) ?? literal(options),
    Buffer.of(0xd3, 0x14),
  ]);
  const digest = createHash("sha1").update(hashed).digest();
  const cipher = createCipheriv("aes-256-cfb", sessionKey, Buffer.alloc(16));
  const encrypted = cipher.update(Buffer.concat([hashed, it.mdc?.(digest) ?? digest]));
  const data = pgpPacket(18, [it.dataVersion ?? 1], it.data?.(encrypted) ?? encrypted);
  return it.whole?.(Buffer.from(session), Buffer.from(data)) ?? Buffer.concat([session, data]);
}

const pgp = (about: string, expect: string, parts: Parts = {}, more: Partial<Case> = {}): Case => ({
  about: `OpenPGP: ${about}`,
  expect,
  keys,
  wrap: (options, dice) => ({ [PGP]: b64(write(options, dice, parts)) }),
  ...more,
});
const changed = (at: number) => (it: Buffer) => {
  const copy = Buffer.from(it);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
};
const pkcs11 = (about: string, expect: string, message: unknown): Case => ({
  about: `PKCS#11: ${about}`,
  expect,
  wrap: () => ({ [PKCS11]: b64(Buffer.isBuffer(message) ? message : json(message)) }),
});
const blob = b64(Buffer.alloc(256, 3));

export const PGP_CASES: Readonly<Record<string, Case>> = {
  "pgp-ok": pgp("nothing is wrong", "ok"),
  "pgp-hidden": pgp("a hidden recipient", "ok", { keyId: Buffer.alloc(8) }),
  "pgp-wrong-key": pgp("another key ID", noKey, { keyId: Buffer.alloc(8, 1) }),
  "pgp-no-keyring": pgp("no keyring", noKey, {}, { keys: { "node.pem": "p256.pem" } }),
  "pgp-marker": pgp("a marker packet, to be ignored", "ok", {
    whole: (session, data) => Buffer.concat([pgpPacket(10, Buffer.from("PGP")), session, data]),
  }),
  "pgp-password-too": pgp("a password recipient beside ours", "ok", {
    whole: (session, data) => Buffer.concat([pgpPacket(3, [4, 9, 0, 8]), session, data]),
  }),
  "pgp-password-only": pgp("a password recipient alone", packet, {
    whole: (_session, data) => Buffer.concat([pgpPacket(3, [4, 9, 0, 8]), data]),
  }),
  "pgp-no-session-key": pgp("no session key", packet, { whole: (_session, data) => data }),
  "pgp-no-data": pgp("no encrypted data", packet, { whole: (session) => session }),
  "pgp-data-first": pgp("the data before the session key", packet, {
    whole: (session, data) => Buffer.concat([data, session]),
  }),
  "pgp-data-twice": pgp("the data twice", packet, {
    whole: (session, data) => Buffer.concat([session, data, data]),
  }),
  "pgp-unprotected": pgp("data without integrity protection", packet, {
    whole: (session, data) => Buffer.concat([session, pgpPacket(9, data.subarray(7))]),
  }),
  "pgp-bare-literal": pgp("a message that is not encrypted", packet, { whole: () => Buffer.from(literal()) }),
  "pgp-session-version": pgp("a session key of an unknown version", packet, { version: 9 }),
  "pgp-data-version": pgp("data of an unknown version", packet, { dataVersion: 9 }),
  "pgp-algorithm-unknown": pgp("a session key by an unknown algorithm", noKey, { algorithm: 99 }),
  "pgp-algorithm-ecdh": pgp("a session key by ECDH, said to be for our RSA key", noKey, { algorithm: 18 }),
  "pgp-cipher-unknown": pgp("an unknown cipher", noKey, { cipher: 99 }),
  "pgp-cipher-3des": pgp("3DES's number on an AES key", noKey, { cipher: 2 }),
  "pgp-checksum": pgp("a wrong checksum", noKey, { checksum: 1 }),
  "pgp-number-bit": pgp("a changed bit in the session key", noKey, { number: changed(50) }),
  "pgp-number-empty": pgp("a session key of no bits", noKey, { number: () => Buffer.of(0, 0) }),
  "pgp-number-short": pgp("a session key that ends early", noKey, { number: (it) => it.subarray(0, 100) }),
  "pgp-number-missing": pgp("a session key packet that ends before it", noKey, {
    number: () => Buffer.alloc(0),
  }),
  "pgp-mdc-bit": pgp("a changed bit in the modification detection code", noKey, { mdc: changed(0) }),
  "pgp-mdc-zero": pgp("a modification detection code of zeros", noKey, {
    mdc: (it) => Buffer.alloc(it.length),
  }),
  "pgp-data-bit": pgp("a changed bit in the data", noKey, { data: changed(40) }),
  "pgp-data-cut": pgp("data without its last byte", noKey, { data: (it) => it.subarray(0, -1) }),
  "pgp-data-empty": pgp("no data", noKey, { data: () => Buffer.alloc(0) }),
  "pgp-inner-marker": pgp("no literal packet inside", noKey, {
    inner: () => pgpPacket(10, Buffer.from("PGP")),
  }),
  "pgp-inner-text": pgp("text inside in place of packets", noKey, { inner: (options) => options }),
  "pgp-truncated": pgp("its last byte is missing", packet, {
    whole: (session, data) => Buffer.concat([session, data]).subarray(0, -1),
  }),
  "pgp-trailing": pgp("a byte behind it", packet, {
    whole: (session, data) => Buffer.concat([session, data, Buffer.of(0)]),
  }),
  "pgp-length-4gib": pgp("a length of 4 GiB", packet, {
    whole: (session) => Buffer.concat([session, Buffer.from("d2ffffffffff01", "hex")]),
  }),
  "pgp-partial-session": pgp("a session key packet in parts", packet, {
    whole: (_session, data) => Buffer.concat([Buffer.from("c1e10300", "hex"), data]),
  }),
  "pgp-partial-endless": pgp("data in parts without an end", packet, {
    whole: (session) => Buffer.concat([session, Buffer.from("d2e10100e10000", "hex")]),
  }),
  "pgp-armoured": pgp("ASCII armour, which no writer puts into an annotation", packet, {
    whole: (session, data) =>
      Buffer.from(
        `-----BEGIN PGP MESSAGE-----\n\n${b64(Buffer.concat([session, data]))}\n-----END PGP MESSAGE-----\n`,
      ),
  }),
  "pgp-text": pgp("text", packet, { whole: () => Buffer.from("hello") }),
  "pkcs11-not-json": pkcs11("no JSON", packet, Buffer.from("hello")),
  "pkcs11-list": pkcs11("a list", packet, []),
  "pkcs11-version": pkcs11("an unknown version", packet, { version: 1, recipients: [{ version: 0, blob }] }),
  "pkcs11-recipient-version": pkcs11("a recipient of an unknown version", packet, {
    version: 0,
    recipients: [{ version: 1, blob }],
  }),
  "pkcs11-no-recipients": pkcs11("no recipients", packet, { version: 0, recipients: [] }),
  "pkcs11-recipients-object": pkcs11("recipients that are an object", packet, { version: 0, recipients: {} }),
  "pkcs11-recipient-null": pkcs11("a recipient of null", packet, { version: 0, recipients: [null] }),
  "pkcs11-1025-recipients": pkcs11("more recipients than any has", packet, {
    version: 0,
    recipients: Array(1025).fill(0),
  }),
  "pkcs11-hash": pkcs11("a hash that is not allowed", noKey, {
    version: 0,
    recipients: [{ version: 0, blob, hash: "md5" }],
  }),
  "pkcs11-blob-missing": pkcs11("no blob", noKey, { version: 0, recipients: [{ version: 0 }] }),
  "pkcs11-blob-not-base64": pkcs11("a blob that is no base64", noKey, {
    version: 0,
    recipients: [{ version: 0, blob: "!" }],
  }),
  "pkcs11-blob-short": pkcs11("a blob as long as no allowed key", noKey, {
    version: 0,
    recipients: [{ version: 0, blob: "AAAA" }],
  }),
  "pkcs11-no-key-file": pkcs11("no key file", noKey, { version: 0, recipients: [{ version: 0, blob }] }),
};
