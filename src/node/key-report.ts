import { X509Certificate } from "node:crypto";
import { type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { fingerprint } from "../keys/fingerprint.ts";
import type { AsymmetricKey, Certificate, KeySet } from "../keys/keyset.ts";
import type { Finding } from "./finding.ts";

/** What one file of the keys path holds; a JWK set has a row for each key. */
export interface KeyRow {
  /** Below the keys path. */
  readonly file: string;
  /** "RSA 3072", "EC P-256", "X.509 certificate", "OpenPGP keyring", "PKCS#11 key file" */
  readonly kind?: string;
  /** Of the public key: SHA-256 of its SubjectPublicKeyInfo. */
  readonly fingerprint?: string;
  readonly kid?: string;
  /** A certificate's subject. */
  readonly subject?: string;
  /** "0600" */
  readonly mode?: string;
  /** Why the decoder does not use it. */
  readonly skipped?: string;
}

export interface KeyReport {
  readonly path: string;
  readonly rows: readonly KeyRow[];
  readonly findings: readonly Finding[];
}

/** Describes keys without telling anything secret of them. */
export function reportKeys(path: string, keys: KeySet): KeyReport {
  const rows: KeyRow[] = [
    ...keys.keys.map((key) => keyRow(key)),
    ...keys.certificates.map(certificateRow),
    ...keys.pgp.map(({ origin }) => ({ file: origin, kind: "OpenPGP keyring" })),
    ...keys.pkcs11.map(({ origin }) => ({ file: origin, kind: "PKCS#11 key file" })),
    ...keys.skipped.map(({ origin, reason }) => ({ file: origin, skipped: reason })),
  ].map((row) => ({ ...row, ...modeOf(path, row.file) }));
  rows.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0));
  return { path, rows, findings: [...findingsOf(path, rows)] };
}

function keyRow(key: AsymmetricKey): KeyRow {
  const kind = key.type === "rsa" ? `RSA ${key.modulusLength}` : `EC ${key.curve}`;
  return {
    file: key.origin,
    kind,
    fingerprint: fingerprint(key),
    ...(key.kid !== undefined && { kid: key.kid }),
  };
}

function certificateRow({ origin, der }: Certificate): KeyRow {
  try {
    const { subject } = new X509Certificate(der);
    return { file: origin, kind: "X.509 certificate", subject: subject.replaceAll("\n", ", ") };
  } catch {
    return { file: origin, skipped: "a malformed X.509 certificate" };
  }
}

/** Where a key lies: in the folder that the keys path names, unless that names the key's file itself. */
export function keyPlace(path: string, file: string): string {
  return statOf(path)?.isFile() ? path : join(path, file);
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function modeOf(path: string, file: string): Pick<KeyRow, "mode"> {
  const stat = statOf(keyPlace(path, file)) ?? statOf(path);
  return stat === undefined ? {} : { mode: (stat.mode & 0o7777).toString(8).padStart(4, "0") };
}

const READABLE_BY_OTHERS = 0o077;
const PUBLIC_KIND = "X.509 certificate";

function* findingsOf(path: string, rows: readonly KeyRow[]): Generator<Finding> {
  const usable = rows.filter(({ kind }) => kind !== undefined && kind !== PUBLIC_KIND);
  if (usable.length === 0) {
    yield {
      severity: "error",
      message: `there is no usable private key in ${path}`,
      hint: "make one with ctd-decoder keygen, and encrypt images for its public key",
    };
  }
  const open = new Set(
    usable
      .filter(({ mode }) => (Number.parseInt(mode ?? "0", 8) & READABLE_BY_OTHERS) !== 0)
      .map(({ file }) => file),
  );
  for (const file of open) {
    yield {
      severity: "warning",
      message: `${file} can be read by others than its owner`,
      hint: `chmod 600 ${keyPlace(path, file)}`,
    };
  }
}
