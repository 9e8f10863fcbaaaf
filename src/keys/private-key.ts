import type { Bytes } from "../encoding/bytes.ts";
import {
  type DerElement,
  readChildren,
  readElement,
  readOid,
  readOnly,
  readSequence,
  readSmallInteger,
  TAG,
  writeElement,
  writeInteger,
  writeOid,
} from "../encoding/der.ts";
import { Secret } from "../secret.ts";
import type { AsymmetricKey, Curve, Unusable } from "./keyset.ts";
import { bitLength, rsaSizeProblem, withoutZeros } from "./rsa.ts";

/** The reason why a public key is skipped. */
export const PUBLIC_KEY = "a public key";

/** OIDs as hex content octets (RFC 8017 A.1, RFC 5480 §2.1.1). */
const RSA_ENCRYPTION = "2a864886f70d010101";
const EC_PUBLIC_KEY = "2a8648ce3d0201";
const CURVE_OIDS: Readonly<Record<Curve, string>> = {
  "P-256": "2a8648ce3d030107",
  "P-384": "2b81040022",
  "P-521": "2b81040023",
};
const CURVES = ["P-256", "P-384", "P-521"] as const;

export const CURVE_BYTES: Readonly<Record<Curve, number>> = { "P-256": 32, "P-384": 48, "P-521": 66 };

/** Complete DER elements. */
const NULL = new Uint8Array([TAG.NULL, 0]);
const version = (number: number) => Uint8Array.of(TAG.INTEGER, 1, number);

/** A parsed key, or why it can't be used. */
export type KeyResult = AsymmetricKey | Unusable;

export interface KeyLabels {
  readonly origin: string;
  readonly kid?: string;
  readonly alg?: string;
}

/** Parses PKCS#8 PrivateKeyInfo, PKCS#1 RSAPrivateKey or SEC1 ECPrivateKey, by structure. Null for anything else. */
export function parsePrivateKey(der: Bytes, labels: KeyLabels): KeyResult | null {
  const fields = readSequence(der);
  if (fields === null || fields[0]?.tag !== TAG.INTEGER) return null;
  const second = fields[1]?.tag;
  if (second === TAG.SEQUENCE) return fromPkcs8(der, fields, labels);
  if (second === TAG.INTEGER && fields.length >= 9) return fromPkcs1(der, labels);
  if (second === TAG.OCTET_STRING) return fromSec1(fields, null, labels);
  return null;
}

/** Whether bytes have the structure of an EncryptedPrivateKeyInfo (RFC 5208 §6). */
export function isEncryptedPkcs8(der: Bytes): boolean {
  const [algorithm, data, ...rest] = readSequence(der) ?? [];
  if (algorithm?.tag !== TAG.SEQUENCE || data?.tag !== TAG.OCTET_STRING || rest.length > 0) return false;
  return readChildren(algorithm.content)?.[0]?.tag === TAG.OID;
}

/** RFC 5208 §5. Ignores the attributes, and the public key of RFC 5958. */
function fromPkcs8(der: Bytes, fields: DerElement[], labels: KeyLabels): KeyResult | null {
  const [, algorithm, octets] = fields;
  if (algorithm === undefined || octets?.tag !== TAG.OCTET_STRING) return null;
  const [oid, parameters] = readChildren(algorithm.content) ?? [];
  switch (readOid(oid)) {
    case RSA_ENCRYPTION:
      return rsaKey(octets.content, der.slice(), labels);
    case EC_PUBLIC_KEY: {
      const inner = readSequence(octets.content);
      return inner && fromSec1(inner, readOid(parameters), labels);
    }
    case null:
      return null;
    default:
      return { reason: "a private key of a type that can't open layers (only RSA and EC keys can)" };
  }
}

function fromPkcs1(der: Bytes, labels: KeyLabels): KeyResult | null {
  const algorithm = writeElement(TAG.SEQUENCE, writeOid(RSA_ENCRYPTION), NULL);
  return rsaKey(
    der,
    enclose(TAG.SEQUENCE, version(0), algorithm, writeElement(TAG.OCTET_STRING, der)),
    labels,
  );
}

/** RFC 5915 §3. @param curveOid the curve that PKCS#8 names; without PKCS#8 the key itself names it in [0] */
function fromSec1(fields: DerElement[], curveOid: string | null, labels: KeyLabels): KeyResult | null {
  const [version, scalar] = fields;
  if (readSmallInteger(version) !== 1 || scalar?.tag !== TAG.OCTET_STRING) return null;
  const named = fieldOf(fields, TAG.CONTEXT_0);
  const oid = curveOid ?? readOid((named && readElement(named.content)) ?? undefined);
  const curve = curveOf(oid);
  if (curve === undefined) return { reason: "an EC key on a curve other than P-256, P-384 and P-521" };
  const publicField = fieldOf(fields, TAG.CONTEXT_1);
  const point = publicField && readOnly(publicField.content, TAG.BIT_STRING);
  return ecKey(curve, scalar.content, point ? point.content.subarray(1) : null, labels);
}

function fieldOf(fields: readonly DerElement[], tag: number): DerElement | undefined {
  for (const field of fields) if (field.tag === tag) return field;
  return undefined;
}

function rsaKey(pkcs1: Bytes, pkcs8: Bytes, labels: KeyLabels): KeyResult | null {
  const numbers = readSequence(pkcs1);
  const modulus = numbers?.[1];
  if (numbers === null || modulus === undefined) return null;
  for (const { tag } of numbers.slice(0, 9)) if (tag !== TAG.INTEGER) return null;
  const magnitude = withoutZeros(modulus.content);
  const modulusLength = bitLength(magnitude);
  const problem = rsaSizeProblem(modulusLength);
  if (problem !== null) return { reason: problem };
  return { type: "rsa", modulusLength, modulus: magnitude.slice(), pkcs8: new Secret(pkcs8), ...labels };
}

/** Builds an EC key from its numbers. @param point the uncompressed public point, 04 ‖ x ‖ y; null when unknown */
export function ecKey(
  curve: Curve,
  scalar: Uint8Array,
  point: Uint8Array | null,
  labels: KeyLabels,
): KeyResult {
  const length = CURVE_BYTES[curve];
  const padded = new Uint8Array(length);
  const digits = scalar.subarray(Math.max(0, scalar.length - length));
  if (scalar.subarray(0, scalar.length - digits.length).some((byte) => byte !== 0)) {
    return { reason: `a ${curve} key whose private number is too long` };
  }
  padded.set(digits, length - digits.length);
  const parts = [version(1), enclose(TAG.OCTET_STRING, padded)];
  if (point !== null) {
    parts.push(writeElement(TAG.CONTEXT_1, writeElement(TAG.BIT_STRING, Uint8Array.of(0), point)));
  }
  const algorithm = writeElement(TAG.SEQUENCE, writeOid(EC_PUBLIC_KEY), writeOid(CURVE_OIDS[curve]));
  const sec1 = enclose(TAG.OCTET_STRING, enclose(TAG.SEQUENCE, ...parts));
  const pkcs8 = enclose(TAG.SEQUENCE, version(0), algorithm, sec1);
  return { type: "ec", curve, pkcs8: new Secret(pkcs8), ...labels };
}

/** Builds an RSA key from the numbers n to qInv of RFC 8017 A.1.2, big-endian. */
export function rsaKeyFromNumbers(numbers: readonly Uint8Array[], labels: KeyLabels): KeyResult {
  const pkcs1 = enclose(TAG.SEQUENCE, version(0), ...numbers.map(writeInteger));
  const key = fromPkcs1(pkcs1, labels);
  pkcs1.fill(0);
  return key ?? { reason: "an RSA key with malformed numbers" };
}

/** Writes an element, and zeroes what it was made of: copies of a private key. */
function enclose(tag: number, ...contents: readonly Uint8Array[]): Bytes {
  const element = writeElement(tag, ...contents);
  for (const content of contents) content.fill(0);
  return element;
}

function curveOf(oid: string | null): Curve | undefined {
  for (const curve of CURVES) if (CURVE_OIDS[curve] === oid) return curve;
  return undefined;
}
