import {
  type DerElement,
  readChildren,
  readElement,
  readOid,
  readOnly,
  readSequence,
  TAG,
} from "../../encoding/der.ts";
import * as LIMITS from "../../system-limits.ts";
import { untrusted } from "./message.ts";

type Bytes = Uint8Array<ArrayBuffer>;

interface Extension {
  readonly isCritical: boolean;
  /** What the extension's OCTET STRING holds. */
  readonly value: Bytes;
  /** The whole element, as it is in the certificate. */
  readonly whole: Bytes;
}

/** The fields of RFC 5280 §4.1 that are looked at. */
export interface Certificate {
  readonly der: Bytes;
  /** TBSCertificate, which is what the issuer signed, and its elements in order. */
  readonly tbs: Bytes;
  readonly fields: readonly DerElement[];
  /** OID in hex, and what stands in the BIT STRING. */
  readonly signatureAlgorithm: string;
  readonly signature: Bytes;
  readonly serial: Bytes;
  /** Names, as DER. */
  readonly issuer: Bytes;
  readonly subject: Bytes;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly spki: Bytes;
  /** OID's content in hex → extension. */
  readonly extensions: ReadonlyMap<string, Extension>;
  readonly isCa: boolean;
  /** CA certificates that may follow below this one. */
  readonly pathLength: number;
}

/** Object identifiers, as `readOid` names them. */
export const OID = {
  basicConstraints: "551d13",
  keyUsage: "551d0f",
  extendedKeyUsage: "551d25",
  subjectAlternativeName: "551d11",
  codeSigning: "2b06010505070303",
  timeStamping: "2b06010505070308",
  /** RFC 6962 §3.3: embedded signed certificate timestamps. */
  certificateTimestamps: "2b06010401d679020402",
} as const;

const TAG_VERSION = 0xa0;
const TAG_EXTENSIONS = 0xa3;
const TAG_BOOLEAN = 0x01;
const TAG_UTC_TIME = 0x17;
const TAG_GENERALIZED_TIME = 0x18;
/** The highest bit of an INTEGER's first byte is its sign (X.690 §8.3). */
const NEGATIVE = 0x80;

/** @throws DecoderError UNTRUSTED */
export function parseCertificate(der: Uint8Array): Certificate {
  const bytes = new Uint8Array(der);
  const certificate = bytes.length > LIMITS.signerCertificateBytes ? null : readCertificate(bytes);
  if (certificate === null) throw untrusted("it has a malformed certificate");
  return certificate;
}

function readCertificate(der: Bytes): Certificate | null {
  const [tbs, algorithm, bits] = readSequence(der) ?? [];
  const fields = tbs?.tag === TAG.SEQUENCE ? readChildren(tbs.content) : null;
  if (!tbs || !fields || fields[0]?.tag !== TAG_VERSION) return null;
  const [, serial, inner, issuer, validity, subject, spki] = fields;
  const signatureAlgorithm = algorithm && readOid(readElement(algorithm.content) ?? undefined);
  // RFC 5280 §4.1.1.2: the signed and the unsigned name of the algorithm are the same.
  if (!signatureAlgorithm || !inner || Buffer.compare(algorithm.whole, inner.whole) !== 0) return null;
  if (bits?.tag !== TAG.BIT_STRING || bits.content[0] !== 0) return null;
  const times = validity && readChildren(validity.content, 2)?.map(readTime);
  const extensions = readExtensions(fields.find(({ tag }) => tag === TAG_EXTENSIONS));
  const [notBefore, notAfter] = times ?? [];
  if (!serial || !issuer || !subject || !spki || !extensions) return null;
  if (notBefore === undefined || notAfter === undefined || Number.isNaN(notBefore + notAfter)) return null;
  const constraints = readConstraints(extensions.get(OID.basicConstraints));
  if (constraints === null) return null;
  return {
    der,
    tbs: tbs.whole,
    fields,
    signatureAlgorithm,
    signature: bits.content.subarray(1),
    serial: serial.content,
    issuer: issuer.whole,
    subject: subject.whole,
    notBefore,
    notAfter,
    spki: spki.whole,
    extensions,
    ...constraints,
  };
}

/** RFC 5280 §4.1.2.5; a time that ends with anything but Z is not allowed. */
export function readTime({ tag, content }: DerElement): number {
  const text = Buffer.from(content).toString("latin1");
  if (tag === TAG_UTC_TIME) {
    const match = /^(\d\d)(\d{4})(\d{6}Z)$/.exec(text);
    if (match === null) return Number.NaN;
    const century = Number(match[1]) < 50 ? "20" : "19";
    return generalizedTime(century + text);
  }
  return tag === TAG_GENERALIZED_TIME ? generalizedTime(text) : Number.NaN;
}

/** Milliseconds since 1970. DER has no trailing zeros in a fraction (X.690 §11.7), so it may have any length. */
function generalizedTime(text: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\.\d{1,9})?Z$/.exec(text);
  if (match === null) return Number.NaN;
  const [, year, month, day, hour, minute, second, fraction = ""] = match;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  return Date.parse(`${iso}Z`) + Math.floor(Number(`0${fraction}`) * 1000);
}

function readExtensions(element: DerElement | undefined): Map<string, Extension> | null {
  if (element === undefined) return new Map();
  const list = readOnly(element.content, TAG.SEQUENCE);
  const items = list && readChildren(list.content, LIMITS.certificateExtensions);
  if (items === null) return null;
  const extensions = new Map<string, Extension>();
  for (const { tag, content, whole } of items) {
    const parts = tag === TAG.SEQUENCE ? readChildren(content, 3) : null;
    const oid = readOid(parts?.[0]);
    const value = parts?.at(-1);
    const flag = parts?.length === 3 ? parts[1] : undefined;
    if (!parts || oid === null || value?.tag !== TAG.OCTET_STRING || parts.length < 2) return null;
    if (flag !== undefined && (flag.tag !== TAG_BOOLEAN || flag.content[0] !== 0xff)) return null;
    // RFC 5280 §4.2: none may be there twice. Which one counts would depend on the reader.
    if (extensions.has(oid)) return null;
    extensions.set(oid, { isCritical: flag !== undefined, value: value.content, whole });
  }
  return extensions;
}

function readConstraints(extension: Extension | undefined): Pick<Certificate, "isCa" | "pathLength"> | null {
  const none = { isCa: false, pathLength: 0 };
  if (extension === undefined) return none;
  const parts = readSequence(extension.value);
  if (parts === null) return null;
  const [flag, length] = parts;
  if (flag === undefined) return none;
  if (flag.tag !== TAG_BOOLEAN || flag.content[0] !== 0xff) return null;
  if (length === undefined) return { isCa: true, pathLength: Number.POSITIVE_INFINITY };
  const [pathLength = NEGATIVE, ...others] = length.content;
  // RFC 5280 §4.2.1.9: it is not negative. No chain is so long that it needs a second byte.
  if (length.tag !== TAG.INTEGER || others.length > 0 || pathLength >= NEGATIVE) return null;
  return { isCa: true, pathLength };
}

/** The purposes of an extended key usage extension, or null for a certificate without one. */
export function extendedKeyUsages({ extensions }: Certificate): ReadonlySet<string> | null {
  const extension = extensions.get(OID.extendedKeyUsage);
  if (extension === undefined) return null;
  const list = readSequence(extension.value) ?? [];
  return new Set(list.map((element) => readOid(element) ?? ""));
}

/** The first octet of KeyUsage's bits (RFC 5280 §4.2.1.3), or null for a certificate without the extension. */
export function keyUsage({ extensions }: Certificate): number | null {
  const extension = extensions.get(OID.keyUsage);
  if (extension === undefined) return null;
  const bits = readElement(extension.value);
  return bits?.tag === TAG.BIT_STRING ? (bits.content[1] ?? 0) : 0;
}
