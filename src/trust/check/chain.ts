import { verify } from "node:crypto";
import * as LIMITS from "../../system-limits.ts";
import { type PublicKey, readPublicKey } from "./key.ts";
import { untrusted } from "./message.ts";
import { type Certificate, extendedKeyUsages, keyUsage, OID } from "./x509.ts";

/** RFC 5758, RFC 8017 (PKCS#1 v1.5) and RFC 8410; SHA-1 and MD5 are not among them. */
const SIGNATURE_HASHES: ReadonlyMap<string, "sha256" | "sha384" | "sha512" | null> = new Map([
  ["2a8648ce3d040302", "sha256"],
  ["2a8648ce3d040303", "sha384"],
  ["2a8648ce3d040304", "sha512"],
  ["2a864886f70d01010b", "sha256"],
  ["2a864886f70d01010c", "sha384"],
  ["2a864886f70d01010d", "sha512"],
  ["2b6570", null],
]);
/** What this check understands; RFC 5280 §4.2: a certificate with another critical extension is refused. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  OID.basicConstraints,
  OID.keyUsage,
  OID.extendedKeyUsage,
  OID.subjectAlternativeName,
]);
/** RFC 5280 §4.2.1.10 requires this extension to be critical. A certificate with it is refused in any case. */
const NAME_CONSTRAINTS = "551d1e";
const ANY_PURPOSE = "551d2500";
/** KeyUsage bits, RFC 5280 §4.2.1.3. */
const DIGITAL_SIGNATURE = 0x80;
const CERTIFICATE_SIGN = 0x04;

interface ChainDemand {
  /** OID of the extended key usage that the leaf must have. */
  readonly purpose: string;
  /** Whether a leaf for any purpose is enough: with anyExtendedKeyUsage, or without the extension (RFC 5280 §4.2.1.12). */
  readonly mayHaveAnyPurpose?: boolean;
  /** Certificates that may stand between; nothing about them is believed. */
  readonly intermediates: readonly Certificate[];
  readonly roots: readonly Certificate[];
  /** When all of them must be valid: milliseconds since 1970. */
  readonly time: number;
}

/** The key in a certificate. @throws DecoderError UNTRUSTED for one that is too short or of an unsupported kind */
export function keyOf(certificate: Certificate): PublicKey {
  try {
    return readPublicKey(certificate.spki, "spki", "its certificate");
  } catch (error) {
    throw untrusted(error instanceof Error ? error.message : "its certificate has an unusable key");
  }
}

/** Certificates from an issuer to a root. */
export type Path = readonly [Certificate, ...Certificate[]];

/**
 * The certificates from the leaf's issuer to a root (RFC 5280 §6.1, without policies and name constraints).
 * @throws DecoderError UNTRUSTED
 */
export function verifyChain(leaf: Certificate, demand: ChainDemand): Path {
  checkLeaf(leaf, demand);
  const search = { demand, attempts: 0 };
  const path = climb(leaf, [], search);
  if (path === undefined) throw untrusted("its certificate chain does not lead to a trusted root");
  return path;
}

function checkLeaf(leaf: Certificate, { purpose, mayHaveAnyPurpose = false, time }: ChainDemand): void {
  if (leaf.isCa)
    throw untrusted("its certificate is a certificate authority's, which signs certificates only");
  if (!isAt(leaf, time)) {
    throw untrusted(
      `its certificate was valid from ${date(leaf.notBefore)} to ${date(leaf.notAfter)}, and it was signed at ${date(time)}`,
    );
  }
  const purposes = extendedKeyUsages(leaf);
  const isForAny = mayHaveAnyPurpose && (purposes === null || purposes.has(ANY_PURPOSE));
  if (!purposes?.has(purpose) && !isForAny) {
    const kind = purpose === OID.codeSigning ? "code signing" : "timestamping";
    throw untrusted(`its certificate's extended key usage is not ${kind}`);
  }
  const usage = keyUsage(leaf);
  if (usage !== null && (usage & DIGITAL_SIGNATURE) === 0)
    throw untrusted("its certificate's key usage does not allow digital signatures");
  if (!isUnderstood(leaf)) throw untrusted("its certificate has a critical extension that is not understood");
}

function date(time: number): string {
  return new Date(time).toISOString();
}

interface Search {
  readonly demand: ChainDemand;
  attempts: number;
}

/** @param below CA certificates on the way so far, nearest the leaf first */
function climb(certificate: Certificate, below: readonly Certificate[], search: Search): Path | undefined {
  const { roots, intermediates } = search.demand;
  for (const root of roots) {
    if (!isIssuer(root, certificate, below, search)) continue;
    const [issuer, ...others] = below;
    return issuer === undefined ? [root] : [issuer, ...others, root];
  }
  if (below.length + 2 >= LIMITS.certificateChain) return undefined;
  for (const issuer of intermediates) {
    if (below.includes(issuer) || !isIssuer(issuer, certificate, below, search)) continue;
    const path = climb(issuer, [...below, issuer], search);
    if (path !== undefined) return path;
  }
  return undefined;
}

function isIssuer(
  issuer: Certificate,
  certificate: Certificate,
  below: readonly Certificate[],
  search: Search,
): boolean {
  const { purpose, time } = search.demand;
  if (Buffer.compare(issuer.subject, certificate.issuer) !== 0) return false;
  if (!issuer.isCa || issuer.pathLength < below.length || !isAt(issuer, time) || !isUnderstood(issuer))
    return false;
  const usage = keyUsage(issuer);
  if (usage !== null && (usage & CERTIFICATE_SIGN) === 0) return false;
  const purposes = extendedKeyUsages(issuer);
  if (purposes !== null && !purposes.has(purpose) && !purposes.has(ANY_PURPOSE)) return false;
  if (++search.attempts > LIMITS.certificateAttempts)
    throw untrusted(`its certificate has more than ${LIMITS.certificateAttempts} possible issuers`);
  return isSignedBy(certificate, issuer);
}

function isSignedBy(certificate: Certificate, issuer: Certificate): boolean {
  const hash = SIGNATURE_HASHES.get(certificate.signatureAlgorithm);
  if (hash === undefined) return false;
  try {
    const { key } = readPublicKey(issuer.spki, "spki", "the issuer");
    return verify(hash, certificate.tbs, key, certificate.signature);
  } catch {
    return false;
  }
}

function isAt({ notBefore, notAfter }: Certificate, time: number): boolean {
  // RFC 5280 §4.1.2.5: both ends are included. Certificates count in whole seconds.
  return notBefore <= time && time < notAfter + 1000;
}

function isUnderstood({ extensions }: Certificate): boolean {
  if (extensions.has(NAME_CONSTRAINTS)) return false;
  return [...extensions].every(([oid, { isCritical }]) => !isCritical || UNDERSTOOD.has(oid));
}
