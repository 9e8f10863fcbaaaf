import { createHash, X509Certificate } from "node:crypto";
import type { Bytes } from "../encoding/bytes.ts";
import {
  type DerElement,
  readChildren,
  readOid,
  readOnly,
  readSequence,
  TAG,
  writeElement,
} from "../encoding/der.ts";
import * as LIMITS from "../system-limits.ts";

const RSA_ENCRYPTION = "2a864886f70d010101";
const SUBJECT_KEY_IDENTIFIER = "551d0e";
const KEY_USAGE = "551d0f";
const BASIC_CONSTRAINTS = "551d13";
const BOOLEAN = 0x01;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const CONTEXT_3 = 0xa3;

/** The fields of an X.509 certificate that say whom a packet is for, and whether the key may be used (RFC 5280 §4.1). */
export interface CertificateFields {
  /** Names, DER. */
  readonly issuer: DerElement;
  readonly subject: DerElement;
  /** Serial number, DER INTEGER. */
  readonly serial: DerElement;
  /** Null when the date is malformed. */
  readonly notBefore: Date | null;
  readonly notAfter: Date | null;
  /** Value of the subjectKeyIdentifier extension (RFC 5280 §4.2.1.2). Null when absent. */
  readonly keyId: Bytes | null;
  /** First octet of the keyUsage extension (RFC 5280 §4.2.1.3). Null when absent, which allows every use. */
  readonly keyUsage: number | null;
  /** RFC 5280 §4.2.1.9. */
  readonly isCa: boolean;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Bytes;
  /** Null for a key other than RSA. */
  readonly rsa: RsaNumbers | null;
}

/** RSAPublicKey (RFC 8017 A.1.1), its numbers as DER INTEGERs. */
export interface RsaNumbers {
  readonly modulus: DerElement;
  readonly exponent: DerElement;
}

/** Reads a DER certificate. Null when it is malformed. */
export function readCertificate(der: Bytes): CertificateFields | null {
  const tbs = readSequence(der)?.[0];
  const children = tbs?.tag === TAG.SEQUENCE ? readChildren(tbs.content) : null;
  if (children === null) return null;
  // A version 1 certificate has no version field, which is [0] EXPLICIT.
  const [serial, , issuer, validity, subject, publicKey, ...optional] =
    children[0]?.tag === TAG.CONTEXT_0 ? children.slice(1) : children;
  if (serial?.tag !== TAG.INTEGER || issuer?.tag !== TAG.SEQUENCE || publicKey?.tag !== TAG.SEQUENCE)
    return null;
  if (validity?.tag !== TAG.SEQUENCE || subject?.tag !== TAG.SEQUENCE) return null;
  const [notBefore, notAfter] = readChildren(validity.content) ?? [];
  const extensions = extensionsOf(optional.find((field) => field.tag === CONTEXT_3));
  if (extensions === null) return null;
  return {
    issuer,
    subject,
    serial,
    notBefore: dateOf(notBefore),
    notAfter: dateOf(notAfter),
    keyId: octetsOf(extensions.get(SUBJECT_KEY_IDENTIFIER)),
    keyUsage: keyUsageOf(extensions.get(KEY_USAGE)),
    isCa: isCaOf(extensions.get(BASIC_CONSTRAINTS)),
    publicKey: publicKey.whole,
    rsa: rsaPublicNumbers(publicKey.content),
  };
}

/** The subject as text, on one line: "C=DE, CN=node-1". */
export function subjectOf(der: Bytes): string {
  try {
    return new X509Certificate(der).subject.replaceAll("\n", ", ");
  } catch {
    return "a malformed name";
  }
}

/** Reads the public numbers of an RSA private key. Null for another key. @param pkcs8 RFC 5208 PrivateKeyInfo, DER */
export function rsaNumbersOf(pkcs8: Bytes): RsaNumbers | null {
  const octets = readSequence(pkcs8)?.[2];
  const [, modulus, exponent] = (octets && readSequence(octets.content)) ?? [];
  return rsaNumbers(modulus, exponent);
}

/** The usual subjectKeyIdentifier of a public key: SHA-1 of the BIT STRING's content (RFC 5280 §4.2.1.2). */
export function usualKeyId({ modulus, exponent }: RsaNumbers): Bytes {
  const key = writeElement(TAG.SEQUENCE, modulus.whole, exponent.whole);
  return new Uint8Array(createHash("sha1").update(key).digest());
}

function rsaPublicNumbers(spki: Bytes): RsaNumbers | null {
  const [algorithm, bits] = readChildren(spki) ?? [];
  const oid = readOid((algorithm && readChildren(algorithm.content)?.[0]) ?? undefined);
  if (oid !== RSA_ENCRYPTION || bits?.tag !== TAG.BIT_STRING) return null;
  // The first content octet of a BIT STRING counts its unused bits.
  const [modulus, exponent] = readSequence(bits.content.subarray(1)) ?? [];
  return rsaNumbers(modulus, exponent);
}

function rsaNumbers(modulus: DerElement | undefined, exponent: DerElement | undefined): RsaNumbers | null {
  return modulus?.tag === TAG.INTEGER && exponent?.tag === TAG.INTEGER ? { modulus, exponent } : null;
}

/**
 * OID → content of the extension's OCTET STRING. Null for a malformed list, since it may restrict the key's use.
 * RFC 5280 §4.2: no extension occurs twice.
 */
function extensionsOf(field: DerElement | undefined): ReadonlyMap<string, Bytes> | null {
  const found = new Map<string, Bytes>();
  if (field === undefined) return found;
  const list = readOnly(field.content, TAG.SEQUENCE);
  const extensions = list && readChildren(list.content, LIMITS.certificateExtensions);
  if (extensions === null) return null;
  for (const extension of extensions) {
    const fields = readChildren(extension.content) ?? [];
    // An optional BOOLEAN `critical` stands between the two.
    const [oid, value] = [readOid(fields[0]), fields.at(-1)];
    if (oid === null || value?.tag !== TAG.OCTET_STRING || found.has(oid)) return null;
    found.set(oid, value.content);
  }
  return found;
}

function octetsOf(value: Bytes | undefined): Bytes | null {
  return (value && readOnly(value, TAG.OCTET_STRING)?.content) ?? null;
}

/** The BIT STRING's first octet after the count of unused bits. */
function keyUsageOf(value: Bytes | undefined): number | null {
  if (value === undefined) return null;
  return readOnly(value, TAG.BIT_STRING)?.content[1] ?? 0;
}

function isCaOf(value: Bytes | undefined): boolean {
  const [isCa] = (value && readSequence(value)) ?? [];
  return isCa?.tag === BOOLEAN && isCa.content[0] !== 0;
}

/** RFC 5280 §4.1.2.5: UTCTime with a two-digit year from 1950 to 2049, or GeneralizedTime, both in UTC. */
function dateOf(time: DerElement | undefined): Date | null {
  const text = time && Buffer.from(time.content).toString("latin1");
  if (text === undefined || (time?.tag !== UTC_TIME && time?.tag !== GENERALIZED_TIME)) return null;
  const year = time.tag === GENERALIZED_TIME ? "" : text < "50" ? "20" : "19";
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(year + text);
  if (match === null) return null;
  const [, y, month, day, hour, minute, second] = match;
  const date = new Date(`${y}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(date.getTime()) ? null : date;
}
