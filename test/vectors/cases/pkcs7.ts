import { createCipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TAG, writeElement, writeInteger, writeOid } from "../../../src/encoding/der.ts";
import { parsePem } from "../../../src/encoding/pem.ts";
import { readCertificate } from "../../../src/keys/certificate.ts";
import { OID, SET } from "../../unit/keywrap/pkcs7/packets.ts";
import { type Case, PKCS7 } from "../build.ts";
import { b64, type Dice, KEYS, publicKey, rsaPkcs1 } from "../material.ts";

const packet = "BAD_PACKET";
const noKey = "NO_KEY";
const keys = { "node.pem": "rsa2048.pem", "node.crt": "rsa2048.crt" };
const number = (value: number) => writeInteger(Uint8Array.of(value));
type Bytes = Uint8Array;

/** What may be changed of a packet as skopeo writes it. */
interface Parts {
  readonly contentType?: string;
  readonly version?: number;
  readonly recipientVersion?: number;
  readonly wrapping?: string;
  readonly algorithm?: string;
  readonly innerType?: string;
  readonly encryptedKey?: (key: Buffer) => Bytes;
  readonly parameters?: (nonce: Buffer) => Bytes;
  readonly ciphertext?: (it: Buffer) => Buffer;
  readonly contentKey?: (it: Buffer) => Buffer;
  readonly recipients?: (it: Bytes) => Bytes[];
  readonly content?: (it: Buffer) => Bytes;
  readonly serial?: Bytes;
  readonly whole?: (it: Buffer) => Buffer;
}

const usualParameters = (nonce: Buffer) =>
  writeElement(0x10, writeElement(TAG.SEQUENCE, writeElement(0x84, nonce), number(16)));

function write(options: Buffer, dice: Dice, it: Parts): Buffer {
  const certificate = readCertificate(
    parsePem(readFileSync(join(KEYS, "rsa2048.crt"), "latin1"), 1)[0]?.body ?? new Uint8Array(),
  );
  if (!certificate) throw new Error("no certificate");
  const key = dice.bytes(16);
  const nonce = dice.bytes(12);
  const cipher = createCipheriv("aes-128-gcm", key, nonce);
  const sealed = Buffer.concat([cipher.update(options), cipher.final(), cipher.getAuthTag()]);
  const wrapped = rsaPkcs1(publicKey("rsa2048.pem"), it.contentKey?.(key) ?? key, dice);
  const recipient = writeElement(
    TAG.SEQUENCE,
    number(it.recipientVersion ?? 0),
    writeElement(TAG.SEQUENCE, certificate.issuer.whole, it.serial ?? certificate.serial.whole),
    writeElement(TAG.SEQUENCE, writeOid(it.wrapping ?? OID.rsaEncryption)),
    writeElement(TAG.OCTET_STRING, it.encryptedKey?.(wrapped) ?? wrapped),
  );
  const ciphertext = it.ciphertext?.(sealed) ?? sealed;
  const info = writeElement(
    TAG.SEQUENCE,
    writeOid(it.innerType ?? OID.data),
    writeElement(
      TAG.SEQUENCE,
      writeOid(it.algorithm ?? OID.aes128Gcm),
      (it.parameters ?? usualParameters)(nonce),
    ),
    it.content?.(ciphertext) ?? writeElement(TAG.CONTEXT_0, writeElement(TAG.OCTET_STRING, ciphertext)),
  );
  const recipients = it.recipients?.(recipient) ?? [recipient];
  const enveloped = writeElement(
    TAG.SEQUENCE,
    number(it.version ?? 0),
    writeElement(SET, ...recipients),
    info,
  );
  const whole = writeElement(
    TAG.SEQUENCE,
    writeOid(it.contentType ?? OID.envelopedData),
    writeElement(TAG.CONTEXT_0, enveloped),
  );
  return it.whole?.(Buffer.from(whole)) ?? Buffer.from(whole);
}

const cms = (about: string, expect: string, parts: Parts = {}, more: Partial<Case> = {}): Case => ({
  about: `PKCS#7: ${about}`,
  expect,
  keys,
  wrap: (options, dice) => ({ [PKCS7]: b64(write(options, dice, parts)) }),
  ...more,
});

export const PKCS7_CASES: Readonly<Record<string, Case>> = {
  "pkcs7-ok": cms("as skopeo writes it", "ok"),
  "pkcs7-primitive-content": cms("the content as a primitive [0], as buildah writes it", "ok", {
    content: (it) => writeElement(0x80, it),
  }),
  "pkcs7-standard-parameters": cms("parameters as RFC 5084 has them", "ok", {
    parameters: (nonce) => writeElement(TAG.SEQUENCE, writeElement(TAG.OCTET_STRING, nonce), number(16)),
  }),
  "pkcs7-no-certificate": cms(
    "the key without its certificate is tried all the same",
    "ok",
    {},
    { keys: { "node.pem": "rsa2048.pem" } },
  ),
  "pkcs7-certificate-alone": cms(
    "the certificate without its key",
    noKey,
    {},
    { keys: { "node.crt": "rsa2048.crt" } },
  ),
  "pkcs7-wrong-key": cms("another key", noKey, {}, { keys: { "node.pem": "rsa2048-other.pem" } }),
  "pkcs7-other-serial": cms("another serial number: the key is tried all the same", "ok", {
    serial: number(99),
  }),
  "pkcs7-ec-key": cms("a key of an elliptic curve", noKey, {}, { keys: { "node.pem": "p256.pem" } }),
  "pkcs7-signed-data": cms("SignedData", packet, { contentType: OID.signedData }),
  "pkcs7-data": cms("plain data", packet, { contentType: OID.data }),
  "pkcs7-version-9": cms("a version that there is not", packet, { version: 9 }),
  "pkcs7-recipient-version": cms("a recipient of another version", packet, { recipientVersion: 2 }),
  "pkcs7-no-recipients": cms("no recipients", packet, { recipients: () => [] }),
  "pkcs7-recipient-unknown": cms("a recipient of an unknown kind", packet, {
    recipients: (it) => [it, writeElement(0xa9)],
  }),
  "pkcs7-recipient-password": cms("a recipient by password before ours", "ok", {
    recipients: (it) => [writeElement(0xa3, number(0)), it],
  }),
  "pkcs7-100-recipients": cms("the recipient a hundred times", "ok", {
    recipients: (it) => Array(20).fill(it),
  }),
  "pkcs7-wrapping-unknown": cms("an unknown way of wrapping", noKey, { wrapping: "2a0304" }),
  "pkcs7-3des": cms("3DES content", packet, { algorithm: OID.tripleDesCbc }),
  "pkcs7-ccm": cms("AES-CCM content", packet, { algorithm: OID.aes128Ccm }),
  "pkcs7-gcm-as-cbc": cms("AES-CBC's name on AES-GCM's content", packet, { algorithm: OID.aes128Cbc }),
  "pkcs7-gcm-256": cms("AES-256-GCM's name on AES-128-GCM's content", noKey, { algorithm: OID.aes256Gcm }),
  "pkcs7-inner-type": cms("content that is not plain data", packet, { innerType: OID.signedData }),
  "pkcs7-nonce-short": cms("a nonce of 8 bytes", packet, {
    parameters: (nonce) => usualParameters(nonce.subarray(0, 8)),
  }),
  "pkcs7-nonce-long": cms("a nonce of 16 bytes", packet, {
    parameters: (nonce) => usualParameters(Buffer.concat([nonce, Buffer.alloc(4)])),
  }),
  "pkcs7-no-parameters": cms("no parameters", packet, { parameters: () => new Uint8Array(0) }),
  "pkcs7-tag-length-4": cms("a tag of 4 bytes", packet, {
    parameters: (nonce) => writeElement(TAG.SEQUENCE, writeElement(TAG.OCTET_STRING, nonce), number(4)),
  }),
  "pkcs7-key-empty": cms("an empty encrypted key", noKey, { encryptedKey: () => new Uint8Array(0) }),
  "pkcs7-key-short": cms("an encrypted key a byte short", noKey, { encryptedKey: (it) => it.subarray(1) }),
  "pkcs7-key-above-modulus": cms("an encrypted key above the modulus", noKey, {
    encryptedKey: (it) => Buffer.alloc(it.length, 0xff),
  }),
  "pkcs7-key-bit": cms("a changed bit in the encrypted key", noKey, {
    encryptedKey: (it) => {
      const copy = Buffer.from(it);
      copy[99] = (copy[99] ?? 0) ^ 1;
      return copy;
    },
  }),
  "pkcs7-content-key-short": cms("a content key of 15 bytes", noKey, { contentKey: (it) => it.subarray(1) }),
  "pkcs7-content-key-empty": cms("an empty content key", noKey, { contentKey: () => Buffer.alloc(0) }),
  "pkcs7-content-bit": cms("a changed bit in the content", noKey, {
    ciphertext: (it) => {
      const copy = Buffer.from(it);
      copy[5] = (copy[5] ?? 0) ^ 1;
      return copy;
    },
  }),
  "pkcs7-tag-bit": cms("a changed bit in the tag", noKey, {
    ciphertext: (it) => {
      const copy = Buffer.from(it);
      const last = copy.length - 1;
      copy[last] = (copy[last] ?? 0) ^ 1;
      return copy;
    },
  }),
  "pkcs7-content-empty": cms("no content", packet, { ciphertext: () => Buffer.alloc(0) }),
  "pkcs7-content-cut": cms("content without its last byte", noKey, {
    ciphertext: (it) => it.subarray(0, -1),
  }),
  "pkcs7-segments-nested": cms("segments in segments", packet, {
    content: (it) => writeElement(TAG.CONTEXT_0, writeElement(0x24, writeElement(TAG.OCTET_STRING, it))),
  }),
  "pkcs7-indefinite": cms("a content of unknown length", "ok", {
    content: (it) =>
      Buffer.concat([Buffer.of(0xa0, 0x80), writeElement(TAG.OCTET_STRING, it), Buffer.of(0, 0)]),
  }),
  "pkcs7-indefinite-deep": cms("a hundred elements of unknown length in each other", packet, {
    content: () => Buffer.concat([Buffer.alloc(200).map((_, i) => (i % 2 ? 0x80 : 0xa0)), Buffer.alloc(200)]),
  }),
  "pkcs7-indefinite-open": cms("an element of unknown length that does not end", packet, {
    whole: (it) => Buffer.concat([Buffer.of(0x30, 0x80), it.subarray(4)]),
  }),
  "pkcs7-truncated": cms("its last byte is missing", packet, { whole: (it) => it.subarray(0, -1) }),
  "pkcs7-trailing": cms("a byte behind it", packet, { whole: (it) => Buffer.concat([it, Buffer.of(0)]) }),
  "pkcs7-length-4gib": cms("a length of 4 GiB", packet, {
    whole: (it) => Buffer.concat([Buffer.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff), it.subarray(4)]),
  }),
  "pkcs7-pem": cms("PEM armour", "ok", {
    whole: (it) => Buffer.from(`-----BEGIN CMS-----\n${b64(it)}\n-----END CMS-----\n`),
  }),
  "pkcs7-pem-other": cms("PEM armour of a certificate", packet, {
    whole: (it) => Buffer.from(`-----BEGIN CERTIFICATE-----\n${b64(it)}\n-----END CERTIFICATE-----\n`),
  }),
  "pkcs7-text": cms("text", packet, { whole: () => Buffer.from("hello") }),
};
