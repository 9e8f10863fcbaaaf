import { DecoderError } from "../../errors.ts";
import type { CertificateAuthority, SignedBy, Signer } from "../requirement.ts";
import { keyOf, type Path, verifyChain } from "./chain.ts";
import { type Evidence, readCertificateFile } from "./evidence.ts";
import { checkNames, describeNames, readNames } from "./identity.ts";
import { ed25519Advice, type PublicKey, verifyWith } from "./key.ts";
import { untrusted } from "./message.ts";
import { checkTimestamps } from "./sct.ts";
import { verifyTimestamp } from "./timestamp.ts";
import { keysOf, logsOf, trustedRootOf } from "./trust-files.ts";
import { isValidAt, type TrustedRoot } from "./trusted-root.ts";
import { type Certificate, OID } from "./x509.ts";

/** Times at which a trusted party saw the signature, in milliseconds since 1970. */
interface TrustedTimes {
  readonly logged: readonly number[];
  readonly stamped: readonly number[];
  /** Why a timestamp does not count, if there is such a one. */
  readonly stampProblem?: unknown;
}

/** A signature that is by whom it must be. */
export interface Signed {
  /** Who signed, for people. */
  readonly signer: string;
  /**
   * When it ceases to count, milliseconds since 1970: the end of a certificate or key that must be valid now. Undefined if a
   * trusted time shows that it was valid when it signed.
   */
  readonly until?: number;
}

/**
 * Whether the signature is by whom the leaf demands, and logged and timestamped as it demands.
 * @throws DecoderError UNTRUSTED, BAD_KEY, CONFIG
 */
export async function checkSigner(evidence: Evidence, leaf: SignedBy): Promise<Signed> {
  const { signer } = leaf;
  switch (signer.kind) {
    case "keys":
      return await checkKeys(evidence, leaf, signer);
    case "certificate":
      return await checkCertificate(evidence, leaf, signer);
    case "pinned-certificate":
      return await checkPinned(evidence, leaf, signer);
    case "gpg":
      throw untrusted("it is not an OpenPGP signature, which is demanded");
  }
}

async function checkKeys(
  evidence: Evidence,
  leaf: SignedBy,
  signer: Signer & { readonly kind: "keys" },
): Promise<Signed> {
  if (evidence.madeWith === "certificate")
    throw untrusted("it is signed with a certificate, and a key is demanded");
  const keys = signer.keys.flatMap(keysOf);
  for (const key of keys) {
    if (!(await verifyWith(key, evidence.signed, evidence.signature, evidence.format))) continue;
    await trustedTimes(evidence, leaf, { key, verifier: key.spki });
    return { signer: `key ${key.fingerprint}` };
  }
  throw untrusted(
    `its signature is not by ${leaf.label}, or what it signs was changed${ed25519Advice(keys, evidence.signature)}`,
  );
}

async function checkCertificate(
  evidence: Evidence,
  leaf: SignedBy,
  { authority, identity }: Signer & { readonly kind: "certificate" },
): Promise<Signed> {
  const certificate = await signingCertificate(evidence);
  const verifier = { key: keyOf(certificate), verifier: certificate.der };
  const times = await trustedTimes(evidence, leaf, verifier);
  const names = readNames(certificate);
  const until = await checkAuthority(certificate, evidence, { leaf, authority, times });
  checkNames(names, identity);
  return { signer: `certificate of ${describeNames(names)}`, ...until };
}

async function signingCertificate({
  certificate,
  signed,
  signature,
  format,
}: Evidence): Promise<Certificate> {
  if (certificate === undefined) throw untrusted("it has no certificate, which is demanded");
  if (!(await verifyWith(keyOf(certificate), signed, signature, format)))
    throw untrusted("its signature is not by its certificate's key");
  return certificate;
}

async function checkPinned(
  evidence: Evidence,
  leaf: SignedBy,
  { certificates, chain }: Signer & { readonly kind: "pinned-certificate" },
): Promise<Signed> {
  const certificate = await signingCertificate(evidence);
  const pinned = certificates.flatMap(readCertificateFile);
  if (!pinned.some(({ der }) => Buffer.compare(der, certificate.der) === 0))
    throw untrusted(`it is signed with another certificate than ${leaf.label}`);
  const { logged, stamped } = await trustedTimes(evidence, leaf, {
    key: keyOf(certificate),
    verifier: certificate.der,
  });
  const issuers = chain === undefined ? [] : readCertificateFile(chain);
  const times = [...logged, ...stamped];
  const used = [certificate];
  for (const time of orNow(times)) {
    const roots = chain === undefined ? undefined : issuers.filter(isSelfIssued);
    if (roots !== undefined)
      used.push(
        ...verifyChain(certificate, { purpose: OID.codeSigning, intermediates: issuers, roots, time }),
      );
    else if (time < certificate.notBefore || time > certificate.notAfter)
      throw untrusted("its certificate was not valid when it was signed");
  }
  return {
    signer: `certificate of ${describeNames(readNames(certificate))}`,
    ...(times.length === 0 && { until: endOf(used) }),
  };
}

/** When the first of some certificates ends. */
function endOf(certificates: readonly Certificate[]): number {
  return Math.min(...certificates.map(({ notAfter }) => notAfter));
}

function isSelfIssued({ issuer, subject }: Certificate): boolean {
  return Buffer.compare(issuer, subject) === 0;
}

function orNow(times: readonly number[]): readonly number[] {
  return times.length > 0 ? times : [Date.now()];
}

/** @throws DecoderError UNTRUSTED if a log entry or timestamp is demanded, and none holds */
async function trustedTimes(
  evidence: Evidence,
  leaf: SignedBy,
  { key, verifier }: { readonly key: PublicKey; readonly verifier: Uint8Array },
): Promise<TrustedTimes> {
  const { signed, payload, envelope, signature, timestamps } = evidence;
  const isCertified = leaf.signer.kind !== "keys";
  const isStamped = timestamps.length > 0 || leaf.timestamps === "required";
  const stamps = isStamped ? await stampedTimes(evidence, leaf) : { stamped: [] };
  // Where neither is demanded, only a certificate needs a time.
  if (leaf.log.need === "ignored" && !isCertified) return { logged: [], ...stamps };
  const logs = (await logsOf(leaf)).filter(({ validity }) =>
    stamps.stamped.every((time) => isValidAt(validity, time)),
  );
  try {
    return {
      logged: await evidence.logTimes(key, logs, { signed, payload, envelope, signature, verifier }),
      ...stamps,
    };
  } catch (error) {
    const isOnlyUntrusted = error instanceof DecoderError && error.code === "UNTRUSTED";
    if (leaf.log.need === "required" || !isOnlyUntrusted) throw error;
    return { logged: [], ...stamps };
  }
}

/** The times of all timestamps by trusted authorities; others don't count. */
async function stampedTimes(
  { timestamps, signature }: Evidence,
  leaf: SignedBy,
): Promise<Omit<TrustedTimes, "logged">> {
  const { timestampAuthorities } = await trustedRootOf(leaf);
  const stamped: number[] = [];
  let stampProblem: unknown;
  for (const der of timestamps) {
    try {
      stamped.push(verifyTimestamp(der, signature, timestampAuthorities));
    } catch (error) {
      stampProblem = error;
    }
  }
  if (leaf.timestamps === "required" && stamped.length === 0)
    throw stampProblem ?? untrusted("it has no timestamp");
  return { stamped, stampProblem };
}

/**
 * @returns the end of the certificates, if they were checked as of now
 * @throws DecoderError UNTRUSTED unless a trusted authority issued the certificate, and it was valid at each time
 */
async function checkAuthority(
  certificate: Certificate,
  { chain }: Evidence,
  demand: { readonly leaf: SignedBy; readonly authority: CertificateAuthority; readonly times: TrustedTimes },
): Promise<Pick<Signed, "until">> {
  const { leaf, authority, times } = demand;
  if (authority.kind === "trusted-root") {
    const root = await trustedRootOf(leaf);
    const all = [...times.logged, ...times.stamped];
    if (all.length === 0 && leaf.log.need === "required")
      throw (
        times.stampProblem ??
        untrusted(
          "nothing that is trusted says when it was signed: it has no signed entry timestamp and no timestamp",
        )
      );
    if (all.length === 0 && Date.now() > certificate.notAfter)
      throw untrusted("its certificate has ended, and nothing that is trusted says when it was signed");
    const used = [certificate];
    for (const time of orNow(all)) {
      const issuers = verifyRootChain(certificate, chain, root, time);
      const [issuer] = issuers;
      if (leaf.sct === "required") checkTimestamps(certificate, issuer, root.certificateLogs);
      used.push(...issuers);
    }
    return all.length === 0 ? { until: endOf(used) } : {};
  }
  const roots = readCertificateFile(authority.roots);
  const own =
    authority.kind === "pki" && authority.intermediates ? readCertificateFile(authority.intermediates) : [];
  if (authority.kind === "fulcio" && times.logged.length === 0)
    throw untrusted("nothing that is trusted says when it was signed: it has no signed entry timestamp");
  const isNow = authority.kind === "pki";
  const { certificateLogs } = leaf.sct === "required" ? await trustedRootOf(leaf) : { certificateLogs: [] };
  const used = [certificate];
  for (const time of isNow ? [Date.now()] : times.logged) {
    const intermediates = [...own, ...chain];
    // Not every private authority names a purpose, and containers/image accepts its certificates.
    const demand = { purpose: OID.codeSigning, mayHaveAnyPurpose: isNow, intermediates, roots, time };
    const issuers = verifyChain(certificate, demand);
    if (leaf.sct === "required") checkTimestamps(certificate, issuers[0], certificateLogs);
    used.push(...issuers);
  }
  return isNow ? { until: endOf(used) } : {};
}

/** @returns the certificates from its issuer to the root */
function verifyRootChain(
  certificate: Certificate,
  chain: readonly Certificate[],
  { authorities }: TrustedRoot,
  time: number,
): Path {
  let problem: unknown;
  for (const { certificates, validity } of authorities) {
    const root = certificates.at(-1);
    if (root === undefined || !isValidAt(validity, time)) continue;
    const intermediates = [...certificates.slice(0, -1), ...chain];
    try {
      return verifyChain(certificate, { purpose: OID.codeSigning, intermediates, roots: [root], time });
    } catch (error) {
      problem = error;
    }
  }
  throw problem ?? untrusted("its certificate is not by an authority that was trusted when it was signed");
}
