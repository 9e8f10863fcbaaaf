import { createPublicKey, type KeyObject } from "node:crypto";
import type { Bytes } from "../encoding/bytes.ts";
import { readElement, readOnly, TAG } from "../encoding/der.ts";
import { isObject, type JsonObject, parseJsonObject } from "../encoding/json.ts";
import { type PemBlock, parsePem } from "../encoding/pem.ts";
import type { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import { type CertificateFields, readCertificate } from "./certificate.ts";
import { isPkcs12 } from "./pkcs12.ts";
import { parsePrivateKey } from "./private-key.ts";
import { badRecipient, isPrivate, type NamedRecipient, readRecipientFile } from "./recipient.ts";
import { type CertificateRules, certificateProblem, endEntity, STRICT } from "./recipient-certificate.ts";
import { rsaSizeProblem } from "./rsa.ts";
import { parseSshPublicKey } from "./ssh-key.ts";

interface PublicKey {
  readonly key: KeyObject;
  /** The public key alone as a JWK: kty, n, e or crv, x, y. */
  readonly jwk: JsonObject;
  /** A JWK's own `kid` and `alg` (RFC 7517 §4.4-4.5). */
  readonly kid?: string;
  readonly alg?: string;
}

const CURVES: ReadonlySet<unknown> = new Set(["P-256", "P-384", "P-521"]);
const PEM_CERTIFICATES = new Set(["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"]);
/** OpenSSH's other types of keys: ed25519, DSA, and those on a security token. */
const SSH_LINE = /^(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]{1,64}(?= AAAA)/;
const SSH_HINT =
  "encrypt for an RSA or ECDSA key: ctd-decoder keygen makes one, and so does ssh-keygen -t ecdsa";

/**
 * Parses a recipient's RSA or EC public key or certificate, as PEM or DER, or a JWK.
 * @throws DecoderError BAD_RECIPIENT
 */
export function parsePublicKey(
  data: Bytes,
  recipient: NamedRecipient,
  rules: CertificateRules = STRICT,
): PublicKey {
  const text = Buffer.from(data).toString("latin1");
  if (/^\s*\{/.test(text)) return fromJwk(parseJsonObject(data), recipient);
  const ssh = parseSshPublicKey(text);
  if (ssh !== null) return fromJwk(ssh, recipient);
  const [sshType] = SSH_LINE.exec(text) ?? [];
  if (sshType !== undefined) {
    throw badRecipient(recipient, `is an SSH key of type ${sshType}, which can only sign`, SSH_HINT);
  }
  const key = text.includes("-----BEGIN ")
    ? fromPem(parsePem(text, LIMITS.recipientPemBlocks), recipient, rules)
    : fromDer(data, recipient, rules);
  return checked(key, undefined, recipient);
}

/** A certificate to encrypt for, and its key. */
type RecipientCertificate = CertificateFields & { readonly key: KeyObject };

/** Reads a recipient's certificate, as PEM or DER. @throws DecoderError BAD_RECIPIENT */
export async function readCertificateFile(
  recipient: NamedRecipient,
  rules: CertificateRules = STRICT,
): Promise<RecipientCertificate> {
  const data = await readRecipientFile(recipient);
  const text = Buffer.from(data).toString("latin1");
  if (isPkcs12(data)) throw notOpened(recipient);
  const certificates = text.includes("-----BEGIN ")
    ? certificatesIn(parsePem(text, LIMITS.recipientPemBlocks), recipient)
    : readCertificate(data) === null
      ? []
      : [data];
  if (certificates.length === 0 && /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text))
    throw badRecipient(
      recipient,
      "is a private key",
      "name its certificate, and keep the key where images are decrypted",
    );
  if (certificates.length === 0)
    throw badRecipient(recipient, "holds no X.509 certificate", "jwe:FILE takes public keys");
  return fromCertificates(certificates, recipient, rules);
}

function fromJwk(jwk: JsonObject | null, recipient: NamedRecipient): PublicKey {
  if (jwk === null) throw badRecipient(recipient, "is not well-formed JSON");
  const keys = jwk["keys"];
  if (jwk["kty"] === undefined && Array.isArray(keys)) {
    if (keys.length !== 1 || !isObject(keys[0]))
      throw badRecipient(recipient, `is a JWK set with ${keys.length} keys instead of one`);
    return fromJwk(keys[0], recipient);
  }
  if (typeof jwk["kty"] !== "string")
    throw badRecipient(recipient, 'is JSON, but not a JWK: it has no "kty"');
  if (jwk["d"] !== undefined || jwk["k"] !== undefined) throw isPrivate(recipient);
  if (jwk["use"] !== undefined && jwk["use"] !== "enc")
    throw badRecipient(recipient, 'is a JWK whose "use" is not "enc"');
  let key: KeyObject;
  try {
    // The import checks the numbers and refuses a point off its curve.
    key = createPublicKey({ key: { ...jwk }, format: "jwk" });
  } catch {
    throw badRecipient(recipient, "is a JWK, but not a well-formed RSA or EC public key");
  }
  return checked(key, jwk, recipient);
}

function fromPem(blocks: readonly PemBlock[], recipient: NamedRecipient, rules: CertificateRules): KeyObject {
  if (blocks.some(({ label }) => label.endsWith("PRIVATE KEY"))) throw isPrivate(recipient);
  const certificates = certificatesIn(blocks, recipient);
  for (const { label, body } of blocks) {
    if (label === "PUBLIC KEY" && body) return fromPublicDer(body, "spki", recipient);
    if (label === "RSA PUBLIC KEY" && body) return fromPublicDer(body, "pkcs1", recipient);
  }
  if (certificates.length === 0)
    throw badRecipient(recipient, "has no PEM block with a public key or certificate");
  return fromCertificates(certificates, recipient, rules).key;
}

/**
 * `openssl x509 -trustout` appends the purposes that a certificate is trusted for.
 * @throws DecoderError BAD_RECIPIENT for a broken block: it may be the certificate that was meant
 */
function certificatesIn(blocks: readonly PemBlock[], recipient: NamedRecipient): Bytes[] {
  const broken = blocks.find(({ body }) => body === null);
  if (broken !== undefined)
    throw badRecipient(recipient, `has a PEM block "${broken.label}" that is not valid base64`);
  return blocks.flatMap(({ label, body }) =>
    PEM_CERTIFICATES.has(label) && body ? [readElement(body)?.whole ?? body] : [],
  );
}

function fromDer(der: Bytes, recipient: NamedRecipient, rules: CertificateRules): KeyObject {
  if (readOnly(der, TAG.SEQUENCE) === null)
    throw badRecipient(recipient, "is not a public key: neither PEM, DER nor JWK");
  if (parsePrivateKey(der, { origin: recipient.file }) !== null) throw isPrivate(recipient);
  if (isPkcs12(der)) throw notOpened(recipient);
  for (const type of ["spki", "pkcs1"] as const) {
    try {
      return fromPublicDer(der, type, recipient);
    } catch {
      // The next form.
    }
  }
  return fromCertificates([der], recipient, rules).key;
}

/** The error for a PKCS#12 file: its certificates are encrypted, too. */
function notOpened(recipient: NamedRecipient): DecoderError {
  const { file } = recipient;
  const hint = `write its certificate to a file: openssl pkcs12 -in ${file} -clcerts -nokeys -out ${file}.crt`;
  return badRecipient(recipient, "is a PKCS#12 file, which holds a private key", hint);
}

function fromPublicDer(der: Bytes, type: "spki" | "pkcs1", recipient: NamedRecipient): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(der), format: "der", type });
  } catch {
    throw badRecipient(recipient, "is not a well-formed public key");
  }
}

function fromCertificates(
  certificates: readonly Bytes[],
  recipient: NamedRecipient,
  rules: CertificateRules,
): RecipientCertificate {
  const fields = endEntity(certificates);
  const refusal = "reason" in fields ? fields : certificateProblem(fields, rules);
  if ("reason" in fields || refusal !== null)
    throw badRecipient(recipient, refusal?.reason ?? "", refusal?.hint);
  return { ...fields, key: fromPublicDer(fields.publicKey, "spki", recipient) };
}

/** Empty for a curve that JOSE has no name for. */
function exportJwk(key: KeyObject): JsonObject {
  try {
    return key.export({ format: "jwk" }) as JsonObject;
  } catch {
    return {};
  }
}

/** @param source the JWK as it was written */
function checked(key: KeyObject, source: JsonObject | undefined, recipient: NamedRecipient): PublicKey {
  const type = key.asymmetricKeyType;
  if (type !== "rsa" && type !== "ec")
    throw badRecipient(recipient, "is neither an RSA key nor an EC key on P-256, P-384 or P-521");
  const jwk = exportJwk(key);
  const problem = type === "rsa" ? rsaSizeProblem(key.asymmetricKeyDetails?.modulusLength ?? 0) : null;
  if (problem !== null) throw badRecipient(recipient, `is ${problem}`);
  if (type === "ec" && !CURVES.has(jwk["crv"]))
    throw badRecipient(recipient, "is neither an RSA key nor an EC key on P-256, P-384 or P-521");
  const [kid, alg] = [source?.["kid"], source?.["alg"]];
  return {
    key,
    jwk,
    ...(typeof kid === "string" && { kid }),
    ...(typeof alg === "string" && { alg }),
  };
}
