import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { readOnly, TAG } from "../../encoding/der.ts";
import { isObject, type JsonObject, parseJsonObject } from "../../encoding/json.ts";
import { type PemBlock, parsePem } from "../../encoding/pem.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import { parsePrivateKey } from "../../keys/private-key.ts";
import { publicHalfHint } from "../../keys/public-half.ts";
import { LIMITS } from "../../limits.ts";
import { KEY_ALGORITHMS } from "./algorithms.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface JweRecipientKey {
  /** The public key as JWK members only: kty, n, e or crv, x, y. */
  readonly jwk: JsonObject;
  /** One of the five key algorithms. */
  readonly alg: string;
  /** A JWK's own `kid`. */
  readonly kid?: string;
}

const CURVES: ReadonlySet<unknown> = new Set(["P-256", "P-384", "P-521"]);

/**
 * Reads a recipient: a public key or certificate as PEM or DER, or a JWK.
 * @throws DecoderError BAD_RECIPIENT
 */
export function readRecipientKey(file: string): JweRecipientKey {
  const data = readFile(file);
  const text = Buffer.from(data).toString("latin1");
  if (/^\s*\{/.test(text)) return fromJwk(parseJsonObject(data), file);
  const key = text.includes("-----BEGIN ") ? fromPem(parsePem(text, 16), file) : fromDer(data, file);
  return checked(key.export({ format: "jwk" }) as JsonObject, undefined, file);
}

function fromJwk(jwk: JsonObject | null, file: string): JweRecipientKey {
  if (jwk === null) throw bad(file, "is no well-formed JSON");
  const keys = jwk["keys"];
  if (jwk["kty"] === undefined && Array.isArray(keys)) {
    if (keys.length !== 1 || !isObject(keys[0]))
      throw bad(file, `is a JWK set of ${keys.length} keys, not of one`);
    return fromJwk(keys[0], file);
  }
  if (jwk["d"] !== undefined || jwk["k"] !== undefined) throw isPrivate(file);
  if (jwk["use"] !== undefined && jwk["use"] !== "enc") throw bad(file, 'is a JWK whose "use" is not "enc"');
  try {
    // Importing checks the numbers: a point off its curve stops here.
    const key = createPublicKey({ key: { ...jwk }, format: "jwk" });
    return checked(key.export({ format: "jwk" }) as JsonObject, jwk, file);
  } catch (error) {
    if (error instanceof DecoderError) throw error;
    throw bad(file, "is a JWK that is no well-formed RSA or EC public key");
  }
}

function fromPem(blocks: readonly PemBlock[], file: string): KeyObject {
  if (blocks.some(({ label }) => label.endsWith("PRIVATE KEY"))) throw isPrivate(file);
  for (const { label, body } of blocks) {
    if (body === null) throw bad(file, `has a PEM block "${label}" that is no base64`);
    if (label === "CERTIFICATE") return fromCertificate(body, file);
    if (label === "PUBLIC KEY") return fromPublicDer(body, "spki", file);
    if (label === "RSA PUBLIC KEY") return fromPublicDer(body, "pkcs1", file);
  }
  throw bad(file, "has no PEM block of a public key or certificate");
}

function fromDer(der: Bytes, file: string): KeyObject {
  if (readOnly(der, TAG.SEQUENCE) === null) throw bad(file, "is no public key: neither PEM, DER nor JWK");
  if (parsePrivateKey(der, { origin: file }) !== null) throw isPrivate(file);
  for (const type of ["spki", "pkcs1"] as const) {
    try {
      return fromPublicDer(der, type, file);
    } catch {
      // the next form
    }
  }
  return fromCertificate(der, file);
}

function fromPublicDer(der: Bytes, type: "spki" | "pkcs1", file: string): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(der), format: "der", type });
  } catch {
    throw bad(file, "is no well-formed public key");
  }
}

function fromCertificate(der: Bytes, file: string): KeyObject {
  try {
    return new X509Certificate(der).publicKey;
  } catch {
    throw bad(file, "is no well-formed public key or certificate");
  }
}

/** @param source the JWK as it was written, for what is no part of the key itself */
function checked(jwk: JsonObject, source: JsonObject | undefined, file: string): JweRecipientKey {
  const isRsa = jwk["kty"] === "RSA";
  if (isRsa) {
    const bits = Buffer.from(String(jwk["n"]), "base64url").length * 8;
    if (bits < LIMITS.rsaBitsMin)
      throw bad(file, `is an RSA key of ${bits} bits; RFC 7518 asks for ${LIMITS.rsaBitsMin} or more`);
  } else if (jwk["kty"] !== "EC" || !CURVES.has(jwk["crv"])) {
    throw bad(file, "is neither an RSA key nor an EC key on P-256, P-384 or P-521");
  }
  const own = source?.["alg"];
  const ownFits = KEY_ALGORITHMS.get(own)?.type === (isRsa ? "rsa" : "ecdh");
  const kid = source?.["kid"];
  return {
    jwk,
    alg: ownFits ? String(own) : isRsa ? "RSA-OAEP" : "ECDH-ES+A256KW",
    ...(typeof kid === "string" ? { kid } : {}),
  };
}

function readFile(file: string): Bytes {
  try {
    return readSmallFile(file, LIMITS.keyFileBytes);
  } catch (error) {
    throw bad(file, `can't be read: ${describeSystemError(error)}`);
  }
}

function isPrivate(file: string): DecoderError {
  return new DecoderError("BAD_RECIPIENT", `the recipient jwe:${file} is a private key`, {
    hint: publicHalfHint("jwe", file),
  });
}

function bad(file: string, what: string): DecoderError {
  return new DecoderError("BAD_RECIPIENT", `the recipient jwe:${file} ${what}`);
}
