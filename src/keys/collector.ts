import { PieceBudget } from "../budget.ts";
import { decodeUtf8 } from "../encoding/bytes.ts";
import { readElement, readOnly, readSequence, TAG } from "../encoding/der.ts";
import { parseJsonObject } from "../encoding/json.ts";
import { type PemBlock, parsePem } from "../encoding/pem.ts";
import { DecoderError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { Secret } from "../secret.ts";
import { PUBLIC_KEY, parseJwks } from "./jwk.ts";
import type { AsymmetricKey, Certificate, KeySet, PgpKeyring, Pkcs11KeyFile, SkippedKey } from "./keyset.ts";
import { isEncryptedPkcs8, type KeyResult, parsePrivateKey } from "./private-key.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** ocicrypt's parameter names, by which a legacy key provider is handed what was found. */
export type ParameterName = "privkeys" | "x509s" | "gpg-privatekeys" | "pkcs11-yamls";

const PEM_PRIVATE_KEYS = new Set(["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]);
const PEM_CERTIFICATES = new Set(["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"]);
const PEM_PUBLIC_KEYS = new Set(["PUBLIC KEY", "RSA PUBLIC KEY"]);
/** "EC PARAMETERS" stands before the key in what `openssl ecparam -genkey` writes. */
const PEM_IGNORED = new Set(["EC PARAMETERS", "DH PARAMETERS"]);
const PEM_BLOCKS = 256;

/**
 * Sorts bytes of unknown kind into keys, certificates, keyrings and token files, by what they are: neither a file's
 * name nor the parameter that carried it says anything reliable.
 */
export class KeyCollector {
  readonly keys: AsymmetricKey[] = [];
  readonly certificates: Certificate[] = [];
  readonly pgp: PgpKeyring[] = [];
  readonly pkcs11: Pkcs11KeyFile[] = [];
  readonly skipped: SkippedKey[] = [];
  readonly #strict: boolean;
  readonly #budget = new PieceBudget({ cpuMs: LIMITS.keyDerivationCpuMs });

  constructor(strict: boolean) {
    this.#strict = strict;
  }

  /** @throws DecoderError BAD_KEY when strict */
  skip(origin: string, reason: string): void {
    if (this.#strict) {
      throw new DecoderError("BAD_KEY", `${origin} can't be used: ${reason}`, {
        hint: "remove it from the keys, or run without --strict-keys to skip what can't be used",
      });
    }
    this.skipped.push({ origin, reason });
  }

  /** Adds what `data` holds, and tells which of ocicrypt's parameters it belongs to (undefined: skipped). */
  async add(data: Bytes, origin: string, passwords: readonly Secret[]): Promise<ParameterName | undefined> {
    if (this.keys.length >= LIMITS.keyEntries) {
      this.skip(origin, `more than ${LIMITS.keyEntries} keys`);
      return undefined;
    }
    // By the whole frame: a text may begin with a "0", too.
    if (readOnly(data, TAG.SEQUENCE) !== null) return this.#addDer(data, origin, passwords);
    // A text's first bit is never set, a packet's always.
    if ((data[0] ?? 0) >= 0x80) {
      const { pgpKind } = await import("./pgp-file.ts");
      const kind = pgpKind(data);
      if (kind !== undefined) return this.#addPgp(kind, data, origin, passwords);
    }
    return this.#addText(withoutByteOrderMark(data), origin, passwords);
  }

  async #addDer(
    der: Bytes,
    origin: string,
    passwords: readonly Secret[],
  ): Promise<ParameterName | undefined> {
    if (isEncryptedPkcs8(der)) {
      const { decryptPkcs8 } = await import("./encrypted-key.ts");
      return this.#addDecrypted(decryptPkcs8(der, passwords, this.#budget), origin);
    }
    const key = parsePrivateKey(der, { origin });
    if (key !== null) return this.#addKey(key, origin);
    if (isCertificate(der)) return this.#addCertificate(der, origin);
    this.skip(origin, isPublicKey(der) ? PUBLIC_KEY : "DER, but no private key or certificate");
    return undefined;
  }

  #addDecrypted(der: Bytes | { readonly reason: string }, origin: string): ParameterName | undefined {
    return this.#addKey("reason" in der ? der : parsePrivateKey(der, { origin }), origin);
  }

  #addKey(key: KeyResult | null, origin: string): ParameterName | undefined {
    if (key !== null && !("reason" in key)) {
      this.keys.push(key);
      return "privkeys";
    }
    this.skip(origin, key?.reason ?? "not a well-formed private key");
    return undefined;
  }

  #addCertificate(der: Bytes, origin: string): ParameterName {
    this.certificates.push({ der, origin });
    return "x509s";
  }

  #addPgp(
    kind: "secret" | "public",
    data: Bytes,
    origin: string,
    passphrases: readonly Secret[],
  ): ParameterName | undefined {
    if (kind === "public") {
      this.skip(origin, "a public OpenPGP key");
      return undefined;
    }
    this.pgp.push({ data, origin, passphrases });
    return "gpg-privatekeys";
  }

  async #addText(
    data: Bytes,
    origin: string,
    passwords: readonly Secret[],
  ): Promise<ParameterName | undefined> {
    const text = decodeUtf8(data);
    if (text.includes("-----BEGIN PGP PRIVATE KEY BLOCK-----")) {
      this.pgp.push({ data, origin, passphrases: passwords });
      return "gpg-privatekeys";
    }
    if (text.includes("-----BEGIN ")) return this.#addPem(text, origin, passwords);
    if (/^\s*\{/.test(text)) return this.#addJson(data, text, origin);
    if (/^pkcs11\s*:/m.test(text)) return this.#addPkcs11(data, origin);
    this.skip(origin, NOT_A_KEY);
    return undefined;
  }

  #addPkcs11(data: Bytes, origin: string): ParameterName {
    this.pkcs11.push({ yaml: new Secret(data), origin });
    return "pkcs11-yamls";
  }

  #addJson(data: Bytes, text: string, origin: string): ParameterName | undefined {
    const results = parseJwks(data, origin);
    if (results === null && isPkcs11(data, text)) return this.#addPkcs11(data, origin);
    if (results === null) this.skip(origin, "JSON, but no JWK or JWK set");
    let parameter: ParameterName | undefined;
    for (const result of results ?? []) parameter = this.#addKey(result, origin) ?? parameter;
    return parameter;
  }

  async #addPem(
    text: string,
    origin: string,
    passwords: readonly Secret[],
  ): Promise<ParameterName | undefined> {
    let parameter: ParameterName | undefined;
    const blocks = parsePem(text, PEM_BLOCKS).filter((block) => !PEM_IGNORED.has(block.label));
    if (blocks.length === 0) this.skip(origin, "PEM without a complete block");
    for (const block of blocks) parameter = (await this.#addPemBlock(block, origin, passwords)) ?? parameter;
    return parameter;
  }

  async #addPemBlock(
    block: PemBlock,
    origin: string,
    passwords: readonly Secret[],
  ): Promise<ParameterName | undefined> {
    const certificate = PEM_CERTIFICATES.has(block.label) && block.body && firstElement(block.body);
    if (block.body === null) {
      this.skip(origin, `a PEM block "${block.label}" that is no base64`);
    } else if (certificate && isCertificate(certificate)) {
      return this.#addCertificate(certificate, origin);
    } else if (block.label === "ENCRYPTED PRIVATE KEY") {
      const { decryptPkcs8 } = await import("./encrypted-key.ts");
      return this.#addDecrypted(decryptPkcs8(block.body, passwords, this.#budget), origin);
    } else if (block.headers.get("Proc-Type")?.endsWith("ENCRYPTED")) {
      const { decryptTraditional } = await import("./encrypted-key.ts");
      return this.#addDecrypted(decryptTraditional(block, passwords, this.#budget), origin);
    } else if (PEM_PRIVATE_KEYS.has(block.label)) {
      return this.#addKey(parsePrivateKey(block.body, { origin }), origin);
    } else {
      this.skip(origin, PEM_PUBLIC_KEYS.has(block.label) ? PUBLIC_KEY : `a PEM block "${block.label}"`);
    }
    return undefined;
  }

  /** @param parameters as {@link KeySet.parameters} */
  finish(parameters: KeySet["parameters"]): KeySet {
    const { keys, certificates, pgp, pkcs11, skipped } = this;
    return { keys, certificates, pgp, pkcs11, parameters, skipped };
  }
}

const NOT_A_KEY = "not a key of a known kind";

/** JSON is YAML, and YAML in braces can do without JSON's quotation marks. */
function isPkcs11(data: Bytes, text: string): boolean {
  const json = parseJsonObject(data);
  return json === null ? /[{,\s](?:pkcs11|"pkcs11"|'pkcs11')\s*:/.test(text) : json["pkcs11"] !== undefined;
}

/** Editors on Windows put one before UTF-8 text. */
function withoutByteOrderMark(text: Bytes): Bytes {
  return text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf ? text.subarray(3) : text;
}

/** What `openssl x509 -trustout` writes goes on after the certificate with what it is trusted for. */
function firstElement(der: Bytes): Bytes {
  return readElement(der)?.whole ?? der;
}

/** RFC 5280 §4.1: SEQUENCE { SEQUENCE tbsCertificate, SEQUENCE, BIT STRING }. */
function isCertificate(der: Bytes): boolean {
  const [tbs, algorithm, signature] = readSequence(der) ?? [];
  return tbs?.tag === TAG.SEQUENCE && algorithm?.tag === TAG.SEQUENCE && signature?.tag === TAG.BIT_STRING;
}

/** RFC 5280 §4.1.2.7 SubjectPublicKeyInfo, or PKCS#1's two numbers. */
function isPublicKey(der: Bytes): boolean {
  const [first, second, ...rest] = readSequence(der) ?? [];
  if (rest.length > 0) return false;
  if (first?.tag === TAG.INTEGER) return second?.tag === TAG.INTEGER;
  return first?.tag === TAG.SEQUENCE && second?.tag === TAG.BIT_STRING;
}
