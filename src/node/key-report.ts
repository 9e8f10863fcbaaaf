import { X509Certificate } from "node:crypto";
import { accessSync, constants, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../errors.ts";
import type { AsymmetricKey, Certificate, KeySet } from "../keys/keyset.ts";
import { kidOf } from "../keys/thumbprint.ts";
import type { Finding } from "./finding.ts";

/** One file of the keys path. A JWK set has a row for each key. */
export interface KeyRow {
  /** Path below the keys path. */
  readonly file: string;
  /** "RSA 3072", "EC P-256", "X.509 certificate", "OpenPGP keyring", "PKCS#11 key file" */
  readonly kind?: string;
  /** The key's name: a JWK's own `kid`, or the RFC 7638 thumbprint. */
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

/**
 * Describes keys without their secrets.
 * @param hasTenantKeys whether keys also come from Secrets of Pods, so that the node needs none of its own
 */
export function reportKeys(path: string, keys: KeySet, hasTenantKeys = false): KeyReport {
  const rows: KeyRow[] = [
    ...keys.keys.map((key) => keyRow(key)),
    ...keys.certificates.map(certificateRow),
    ...keys.keyrings.map(({ origin }) => ({ file: origin, kind: "OpenPGP keyring" })),
    ...keys.tokenKeys.map(({ origin }) => ({ file: origin, kind: "PKCS#11 key file" })),
    ...keys.skipped.map(({ origin, reason }) => ({ file: origin, skipped: reason })),
  ].map((row) => ({ ...row, ...modeOf(path, row.file) }));
  rows.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0));
  return { path, rows, findings: [...findingsOf(path, rows, hasTenantKeys)] };
}

function keyRow(key: AsymmetricKey): KeyRow {
  const kind = key.type === "rsa" ? `RSA ${key.modulusLength}` : `EC ${key.curve}`;
  return { file: key.origin, kind, kid: kidOf(key) };
}

function certificateRow({ origin, der }: Certificate): KeyRow {
  try {
    const { subject } = new X509Certificate(der);
    return { file: origin, kind: "X.509 certificate", subject: subject.replaceAll("\n", ", ") };
  } catch {
    return { file: origin, skipped: "a malformed X.509 certificate" };
  }
}

/** The path of a key. The keys path is a folder or the key file itself. */
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

function isDenied(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return false;
  } catch (error) {
    return errnoOf(error) === "EACCES";
  }
}

function modeOf(path: string, file: string): Pick<KeyRow, "mode"> {
  const stat = statOf(keyPlace(path, file)) ?? statOf(path);
  return stat === undefined ? {} : { mode: (stat.mode & 0o7777).toString(8).padStart(4, "0") };
}

const READABLE_BY_OTHERS = 0o077;
const PUBLIC_KIND = "X.509 certificate";

/** The rows of private keys that the decoder uses. */
export function usableKeys(rows: readonly KeyRow[]): readonly KeyRow[] {
  return rows.filter(({ kind }) => kind !== undefined && kind !== PUBLIC_KIND);
}

function* findingsOf(path: string, rows: readonly KeyRow[], hasTenantKeys: boolean): Generator<Finding> {
  const usable = usableKeys(rows);
  if (usable.length === 0) yield withoutKey(path, rows, hasTenantKeys);
  const open = new Set(
    usable
      .filter(({ mode }) => (Number.parseInt(mode ?? "0", 8) & READABLE_BY_OTHERS) !== 0)
      .map(({ file }) => file),
  );
  for (const file of open) {
    yield {
      severity: "warning",
      message: `users other than its owner can read ${file}`,
      hint: `chmod 600 ${keyPlace(path, file)}`,
    };
  }
}

function withoutKey(path: string, rows: readonly KeyRow[], hasTenantKeys: boolean): Finding {
  const message = `${path} has no usable private key`;
  if (rows.some(({ file }) => isDenied(keyPlace(path, file))) || isDenied(path))
    return {
      severity: "error",
      message,
      hint: "this user may not read it: run `ctd-decoder doctor` as root",
    };
  if (hasTenantKeys) return { severity: "note", message: `${message}: keys come from tenants' Secrets only` };
  return {
    severity: "error",
    message,
    hint: "make one with `ctd-decoder keygen`, and encrypt images for its public key",
  };
}
