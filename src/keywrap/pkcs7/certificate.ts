import { createHash } from "node:crypto";
import {
  type DerElement,
  readChildren,
  readOid,
  readOnly,
  readSequence,
  TAG,
  writeElement,
} from "../../encoding/der.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const RSA_ENCRYPTION = "2a864886f70d010101";
const SUBJECT_KEY_IDENTIFIER = "551d0e";
const CONTEXT_3 = 0xa3;
const EXTENSIONS_MAX = 64;

/** What of an X.509 certificate says for whom a packet is (RFC 5280 §4.1). */
export interface CertificateFields {
  /** Issuer Name, DER. */
  readonly issuer: DerElement;
  /** Serial number, DER INTEGER. */
  readonly serial: DerElement;
  /** The subjectKeyIdentifier extension's value (RFC 5280 §4.2.1.2), null without one. */
  readonly keyId: Bytes | null;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Bytes;
  /** null for a key of another type than RSA. */
  readonly rsa: RsaNumbers | null;
}

/** RSAPublicKey (RFC 8017 A.1.1), its numbers as DER INTEGERs. */
export interface RsaNumbers {
  readonly modulus: DerElement;
  readonly exponent: DerElement;
}

/** The fields of a DER certificate, or null when it is none. */
export function readCertificate(der: Bytes): CertificateFields | null {
  const tbs = readSequence(der)?.[0];
  const children = tbs?.tag === TAG.SEQUENCE ? readChildren(tbs.content) : null;
  if (children === null) return null;
  // version [0] EXPLICIT is left out of a version 1 certificate.
  const [serial, , issuer, , , publicKey, ...optional] =
    children[0]?.tag === TAG.CONTEXT_0 ? children.slice(1) : children;
  if (serial?.tag !== TAG.INTEGER || issuer?.tag !== TAG.SEQUENCE || publicKey?.tag !== TAG.SEQUENCE)
    return null;
  const extensions = optional.find((field) => field.tag === CONTEXT_3);
  return {
    issuer,
    serial,
    keyId: extensions ? keyIdOf(extensions.content) : null,
    publicKey: publicKey.whole,
    rsa: rsaPublicNumbers(publicKey.content),
  };
}

/** The public numbers in an RSA private key, or null when it isn't one. @param pkcs8 RFC 5208 PrivateKeyInfo, DER */
export function rsaNumbersOf(pkcs8: Bytes): RsaNumbers | null {
  const octets = readSequence(pkcs8)?.[2];
  const [, modulus, exponent] = (octets && readSequence(octets.content)) ?? [];
  return rsaNumbers(modulus, exponent);
}

/** The usual subjectKeyIdentifier of a public key: the SHA-1 of the BIT STRING's contents (RFC 5280 §4.2.1.2). */
export function usualKeyId({ modulus, exponent }: RsaNumbers): Bytes {
  return new Uint8Array(
    createHash("sha1")
      .update(writeElement(TAG.SEQUENCE, modulus.whole, exponent.whole))
      .digest(),
  );
}

function rsaPublicNumbers(spki: Bytes): RsaNumbers | null {
  const [algorithm, bits] = readChildren(spki) ?? [];
  const oid = readOid((algorithm && readChildren(algorithm.content)?.[0]) ?? undefined);
  if (oid !== RSA_ENCRYPTION || bits?.tag !== TAG.BIT_STRING) return null;
  // The first content octet of a BIT STRING counts the unused bits.
  const [modulus, exponent] = readSequence(bits.content.subarray(1)) ?? [];
  return rsaNumbers(modulus, exponent);
}

function rsaNumbers(modulus: DerElement | undefined, exponent: DerElement | undefined): RsaNumbers | null {
  return modulus?.tag === TAG.INTEGER && exponent?.tag === TAG.INTEGER ? { modulus, exponent } : null;
}

function keyIdOf(extensions: Bytes): Bytes | null {
  const list = readOnly(extensions, TAG.SEQUENCE);
  for (const extension of (list && readChildren(list.content, EXTENSIONS_MAX)) ?? []) {
    const fields = readChildren(extension.content) ?? [];
    if (readOid(fields[0]) !== SUBJECT_KEY_IDENTIFIER) continue;
    // After an optional BOOLEAN `critical`, an OCTET STRING around the OCTET STRING.
    const value = fields.at(-1);
    return (value && readOnly(value.content, TAG.OCTET_STRING)?.content) ?? null;
  }
  return null;
}
