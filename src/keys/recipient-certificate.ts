import type { Bytes } from "../encoding/bytes.ts";
import { type CertificateFields, readCertificate, subjectOf } from "./certificate.ts";

/** Refusals of certificates that the user insists against. */
export interface CertificateRules {
  /** Accepts a certificate that has expired or is not valid yet. */
  readonly allowExpired: boolean;
  /** Accepts the certificate of a certification authority. */
  readonly allowCa: boolean;
  /** Accepts a certificate whose keyUsage excludes encryption. */
  readonly allowKeyUsage: boolean;
}

export const STRICT: CertificateRules = { allowExpired: false, allowCa: false, allowKeyUsage: false };

/** For certificates that are only compared or tested with. */
export const LENIENT: CertificateRules = { allowExpired: true, allowCa: true, allowKeyUsage: true };

/** A refused certificate; `reason` continues "the recipient jwe:FILE …". */
interface Refusal {
  readonly reason: string;
  readonly hint?: string;
}

/** RFC 5280 §4.2.1.3: keyEncipherment is bit 2, keyAgreement bit 4, counted from the most significant one. */
const KEY_ENCIPHERMENT = 0x20;
const KEY_AGREEMENT = 0x08;
const SUBJECTS_SHOWN = 6;

/**
 * Chooses the end-entity certificate among those of one file: the one that is neither a CA's nor the issuer of another one.
 * @returns a refusal when that is not exactly one
 */
export function endEntity(certificates: readonly Bytes[]): CertificateFields | Refusal {
  const parsed = certificates.flatMap((der) => {
    const fields = readCertificate(der);
    return fields === null ? [] : [{ der, fields }];
  });
  if (parsed.length < certificates.length || parsed.length === 0)
    return { reason: "holds a malformed X.509 certificate" };
  const issuers = new Set(
    parsed.map(({ fields: { issuer, subject } }) => {
      const [issuerName, subjectName] = [issuer.whole.toHex(), subject.whole.toHex()];
      return issuerName === subjectName ? "" : issuerName;
    }),
  );
  const leaves = parsed.filter(({ fields }) => !fields.isCa && !issuers.has(fields.subject.whole.toHex()));
  const distinct = new Map((parsed.length === 1 ? parsed : leaves).map((it) => [it.der.toHex(), it]));
  const [only, ...others] = distinct.values();
  if (only !== undefined && others.length === 0) return only.fields;
  const named = (only === undefined ? parsed : [...distinct.values()])
    .slice(0, SUBJECTS_SHOWN)
    .map(({ der }) => subjectOf(der))
    .join("; ");
  const what =
    only === undefined ? "holds several certificates, all of CAs" : "holds several end-entity certificates";
  return { reason: `${what}: ${named}`, hint: "give a file with the one certificate to encrypt for" };
}

/** Why a certificate must not be encrypted for; null when it may. */
export function certificateProblem(
  { notBefore, notAfter, isCa, keyUsage, rsa }: CertificateFields,
  rules: CertificateRules,
  now = new Date(),
): Refusal | null {
  if (!rules.allowExpired) {
    const hint = "renew it, or insist with --allow-expired";
    if (notBefore === null || notAfter === null)
      return { reason: "has a malformed period of validity", hint };
    if (notAfter < now) return { reason: `expired on ${day(notAfter)}`, hint };
    if (notBefore > now) return { reason: `is not valid before ${day(notBefore)}`, hint };
  }
  if (isCa && !rules.allowCa) {
    return {
      reason: "is the certificate of a CA (basicConstraints CA:TRUE)",
      hint: "name the certificate of the node or person that decrypts, or insist with --allow-ca",
    };
  }
  const [wanted, name] =
    rsa === null ? [KEY_AGREEMENT, "keyAgreement"] : [KEY_ENCIPHERMENT, "keyEncipherment"];
  if (keyUsage !== null && (keyUsage & wanted) === 0 && !rules.allowKeyUsage) {
    return {
      reason: `is not for encryption: its keyUsage lacks ${name}`,
      hint: `use a certificate with ${name}, or insist with --allow-key-usage`,
    };
  }
  return null;
}

/** "2026-11-26" */
function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
