import type { PieceBudget } from "../budget.ts";
import { type Bytes, decodeUtf8, withoutByteOrderMark } from "../encoding/bytes.ts";
import { readElement, readOnly, readSequence, TAG } from "../encoding/der.ts";
import { parseJsonObject } from "../encoding/json.ts";
import { type PemBlock, parsePem } from "../encoding/pem.ts";
import * as LIMITS from "../limits.ts";
import { Secret } from "../secret.ts";
import type { AsymmetricKey, Certificate, PgpKeyring, TokenKeyFile, Unusable } from "./keyset.ts";
import { isEncryptedPkcs8, PUBLIC_KEY, parsePrivateKey } from "./private-key.ts";

/** One thing that a file of unknown kind holds. */
export type Found =
  | { readonly kind: "key"; readonly key: AsymmetricKey }
  | { readonly kind: "certificate"; readonly certificate: Certificate }
  | { readonly kind: "keyring"; readonly keyring: PgpKeyring }
  | { readonly kind: "token key"; readonly tokenKey: TokenKeyFile }
  | ({ readonly kind: "unusable" } & Unusable);

/** Where data came from, and what may be tried to decrypt it. */
interface Source {
  readonly origin: string;
  readonly passwords: readonly Secret[];
  /** Processor time for the passwords of all keys together. */
  readonly budget: PieceBudget;
}

const PEM_PRIVATE_KEYS = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
const PEM_CERTIFICATES = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];
const PEM_PUBLIC_KEYS = ["PUBLIC KEY", "RSA PUBLIC KEY"];
/** `openssl ecparam -genkey` writes "EC PARAMETERS" before the key. */
const PEM_IGNORED = ["EC PARAMETERS", "DH PARAMETERS"];

/**
 * Recognises keys by their content. Neither a file's name nor the parameter that carried the data says anything reliable
 * about its kind.
 */
export function recognise(data: Bytes, source: Source): Found[] | Promise<Found[]> {
  // Text may begin with "0", which is the tag of a SEQUENCE: only a frame that fills the data counts.
  if (readOnly(data, TAG.SEQUENCE) !== null) return fromDer(data, source);
  // The first bit of an OpenPGP packet is always set, that of a text never.
  if ((data[0] ?? 0) >= 0x80) return fromBytes(data, source);
  return fromText(withoutByteOrderMark(data), source);
}

async function fromBytes(data: Bytes, source: Source): Promise<Found[]> {
  const { pgpKind } = await import("./pgp-file.ts");
  const kind = pgpKind(data);
  if (kind === "public") return [unusable("a public OpenPGP key")];
  if (kind === "secret") return [keyring(data, source)];
  return fromText(withoutByteOrderMark(data), source);
}

async function fromDer(der: Bytes, source: Source): Promise<Found[]> {
  const { origin } = source;
  if (isEncryptedPkcs8(der)) return [await fromEncryptedPkcs8(der, source)];
  const key = parsePrivateKey(der, { origin });
  if (key !== null) return [found(key)];
  if (isCertificate(der)) return [certificate(der, origin)];
  if (isPublicKey(der)) return [unusable(PUBLIC_KEY)];
  const { openPkcs12 } = await import("./pkcs12.ts");
  const opened = await openPkcs12(der, source);
  if ("reason" in opened) return [{ kind: "unusable", ...opened }];
  return [
    ...opened.keys.map((key) => fromDecrypted(key, origin)),
    ...opened.certificates.map((der) => certificate(der, origin)),
  ];
}

function fromText(data: Bytes, source: Source): Found[] | Promise<Found[]> {
  const text = decodeUtf8(data);
  if (text.includes("-----BEGIN PGP PRIVATE KEY BLOCK-----")) return [keyring(data, source)];
  if (text.includes("-----BEGIN ")) return fromPem(text, source);
  if (/^\s*\{/.test(text)) return fromJson(data, text, source.origin);
  if (/^(?:ssh-|ecdsa-sha2-|sk-)\S+ AAAA/.test(text)) return [unusable(PUBLIC_KEY)];
  if (/^pkcs11\s*:/m.test(text)) return [tokenKey(data, source.origin)];
  return [unusable("not a key of a known kind")];
}

async function fromPem(text: string, source: Source): Promise<Found[]> {
  const all: Found[] = [];
  for (const block of parsePem(text, LIMITS.keyPemBlocks)) {
    if (PEM_IGNORED.includes(block.label)) continue;
    const found = fromPemBlock(block, source);
    all.push("kind" in found ? found : await found);
  }
  return all.length === 0 ? [unusable("PEM without a complete block")] : all;
}

function fromPemBlock(block: PemBlock, source: Source): Found | Promise<Found> {
  const { label, body } = block;
  const { origin } = source;
  if (body === null) return unusable(`a PEM block "${label}" that is not valid base64`);
  if (label === "ENCRYPTED PRIVATE KEY") return fromEncryptedPkcs8(body, source);
  if (block.headers.get("Proc-Type")?.endsWith("ENCRYPTED")) return fromEncryptedBlock(block, source);
  if (label === "OPENSSH PRIVATE KEY") return fromOpenSsh(body, origin);
  if (PEM_PRIVATE_KEYS.includes(label)) return found(parsePrivateKey(body, { origin }));
  // `openssl x509 -trustout` appends the purposes that a certificate is trusted for.
  const der = PEM_CERTIFICATES.includes(label) ? (readElement(body)?.whole ?? body) : null;
  if (der !== null && isCertificate(der)) return certificate(der, origin);
  return unusable(PEM_PUBLIC_KEYS.includes(label) ? PUBLIC_KEY : `a PEM block "${label}"`);
}

async function fromEncryptedPkcs8(der: Bytes, source: Source): Promise<Found> {
  const { decryptPkcs8 } = await import("./encrypted-key.ts");
  return fromDecrypted(await decryptPkcs8(der, source), source.origin);
}

async function fromEncryptedBlock(block: PemBlock, source: Source): Promise<Found> {
  const { decryptTraditional } = await import("./encrypted-key.ts");
  return fromDecrypted(await decryptTraditional(block, source), source.origin);
}

async function fromOpenSsh(body: Bytes, origin: string): Promise<Found> {
  const { parseSshPrivateKey } = await import("./ssh-key.ts");
  return found(parseSshPrivateKey(body, { origin }));
}

/** @param der zeroed */
function fromDecrypted(der: Bytes | Unusable, origin: string): Found {
  if ("reason" in der) return { kind: "unusable", ...der };
  const key = parsePrivateKey(der, { origin });
  der.fill(0);
  return found(key);
}

async function fromJson(data: Bytes, text: string, origin: string): Promise<Found[]> {
  const { parseJwks } = await import("./jwk.ts");
  const results = parseJwks(data, origin);
  if (results !== null) return results.map(found);
  return [isPkcs11(data, text) ? tokenKey(data, origin) : unusable("JSON, but not a JWK or a JWK set")];
}

/** JSON is YAML, and YAML in braces works without JSON's quotation marks. */
function isPkcs11(data: Bytes, text: string): boolean {
  const json = parseJsonObject(data);
  return json === null ? /[{,\s](?:pkcs11|"pkcs11"|'pkcs11')\s*:/.test(text) : json["pkcs11"] !== undefined;
}

function found(result: AsymmetricKey | Unusable | null): Found {
  if (result === null) return unusable("not a well-formed private key");
  return "reason" in result ? { kind: "unusable", ...result } : { kind: "key", key: result };
}

function certificate(der: Bytes, origin: string): Found {
  return { kind: "certificate", certificate: { der, origin } };
}

function keyring(data: Bytes, { origin, passwords }: Source): Found {
  return { kind: "keyring", keyring: { data, origin, passphrases: passwords } };
}

function tokenKey(data: Bytes, origin: string): Found {
  return { kind: "token key", tokenKey: { yaml: new Secret(data), origin } };
}

function unusable(reason: string): Found {
  return { kind: "unusable", reason };
}

/** RFC 5280 §4.1: SEQUENCE { SEQUENCE tbsCertificate, SEQUENCE, BIT STRING }. */
function isCertificate(der: Bytes): boolean {
  const [tbs, algorithm, signature] = readSequence(der) ?? [];
  return tbs?.tag === TAG.SEQUENCE && algorithm?.tag === TAG.SEQUENCE && signature?.tag === TAG.BIT_STRING;
}

/** RFC 5280 §4.1.2.7 SubjectPublicKeyInfo, or the two numbers of PKCS#1. */
function isPublicKey(der: Bytes): boolean {
  const [first, second, ...rest] = readSequence(der) ?? [];
  if (rest.length > 0) return false;
  if (first?.tag === TAG.INTEGER) return second?.tag === TAG.INTEGER;
  return first?.tag === TAG.SEQUENCE && second?.tag === TAG.BIT_STRING;
}
