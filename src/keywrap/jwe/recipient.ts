import { decodeBase64Url } from "../../encoding/base64.ts";
import { type Bytes, concat } from "../../encoding/bytes.ts";
import { isObject } from "../../encoding/json.ts";
import type { AsymmetricKey, Curve } from "../../keys/keyset.ts";
import { CURVE_BYTES } from "../../keys/private-key.ts";
import { mayBeFor } from "../../keys/rsa.ts";
import { type ContentAlgorithm, contentAlgorithmOf, keyAlgorithmOf } from "./algorithms.ts";
import { badJwe, type JweMessage, type JweRecipient } from "./message.ts";

/** A recipient's wrapped content key, checked as far as possible without a private key. */
export type WrappedCek =
  | { readonly type: "rsa"; readonly hash: "SHA-1" | "SHA-256"; readonly encryptedKey: Bytes }
  | {
      readonly type: "ecdh";
      readonly curve: Curve;
      /** Ephemeral public point, uncompressed (SEC 1 §2.3.3). */
      readonly epk: Bytes;
      readonly kekBytes: number;
      /** AlgorithmID ‖ PartyUInfo ‖ PartyVInfo ‖ SuppPubInfo (RFC 7518 §4.6.2). */
      readonly otherInfo: Bytes;
      readonly encryptedKey: Bytes;
    };

/** AES key wrap adds one block of 8 bytes (RFC 3394 §2.2.1). */
const KEY_WRAP_BYTES = 8;
/** Longest text of an image's author in a message. */
const LABEL_CHARS = 80;

/**
 * Reads the content encryption, which all recipients share (RFC 7516 §4.1.2).
 * @throws DecoderError BAD_PACKET, also for compression and critical extensions
 */
export function contentAlgorithm(jwe: JweMessage): ContentAlgorithm {
  const enc = jwe.recipients[0]?.header["enc"];
  for (const { header } of jwe.recipients) {
    if (header["zip"] !== undefined) throw badJwe('is compressed ("zip"), which is not allowed here');
    if (header["crit"] !== undefined)
      throw badJwe('has critical extensions ("crit"), which are not supported');
    if (header["enc"] !== enc) throw badJwe('has recipients that disagree about "enc"');
  }
  const algorithm = contentAlgorithmOf(enc);
  if (algorithm === undefined)
    throw badJwe(`has a content encryption ("enc") that is not allowed: ${label(enc)}`);
  if (jwe.iv.length !== algorithm.ivBytes)
    throw badJwe(`has an iv of ${jwe.iv.length} bytes, not ${algorithm.ivBytes}`);
  if (jwe.tag.length !== algorithm.tagBytes)
    throw badJwe(`has a tag of ${jwe.tag.length} bytes, not ${algorithm.tagBytes}`);
  return algorithm;
}

/** Reads a recipient's wrapped content key, or why the recipient is refused before any cryptography. */
export function wrappedCek(
  recipient: JweRecipient,
  content: ContentAlgorithm,
): WrappedCek | { readonly reason: string } {
  const { header, encryptedKey } = recipient;
  const algorithm = keyAlgorithmOf(header["alg"]);
  if (algorithm === undefined) return { reason: `"alg" ${label(header["alg"])} is not allowed` };
  if (algorithm.type === "rsa") {
    if (encryptedKey.length === 0) return { reason: "its encrypted_key is empty" };
    return { type: "rsa", hash: algorithm.hash, encryptedKey };
  }
  if (encryptedKey.length !== content.keyBytes + KEY_WRAP_BYTES) {
    return {
      reason: `its encrypted_key has ${encryptedKey.length} bytes, not ${content.keyBytes + KEY_WRAP_BYTES}`,
    };
  }
  const epk = ephemeralPoint(header["epk"]);
  if (epk === null) return { reason: 'its "epk" is not a public key on P-256, P-384 or P-521' };
  const otherInfo = concatKdfInfo(header, algorithm.kekBytes);
  if (otherInfo === null) return { reason: 'its "apu" or "apv" is not base64url' };
  return { type: "ecdh", ...epk, kekBytes: algorithm.kekBytes, otherInfo, encryptedKey };
}

/** Whether a key has the type and size for this content key. Saves private-key operations that can't succeed. */
export function mayOpen(wrapped: WrappedCek, key: AsymmetricKey): boolean {
  if (wrapped.type === "rsa") return key.type === "rsa" && mayBeFor(key, wrapped.encryptedKey);
  return key.type === "ec" && key.curve === wrapped.curve;
}

/** "ECDH-ES+A256KW P-256 kid=node-1" */
export function describeRecipient({ header }: JweRecipient): string {
  const epk = header["epk"];
  const curve = isObject(epk) && typeof epk["crv"] === "string" ? ` ${label(epk["crv"])}` : "";
  const kid = header["kid"] === undefined ? "" : ` kid=${label(header["kid"])}`;
  return `${label(header["alg"])}${curve}${kid}`;
}

function ephemeralPoint(epk: unknown): { curve: Curve; epk: Bytes } | null {
  if (!isObject(epk) || epk["kty"] !== "EC") return null;
  const curve = epk["crv"];
  if (curve !== "P-256" && curve !== "P-384" && curve !== "P-521") return null;
  const [x, y] = [decoded(epk["x"]), decoded(epk["y"])];
  const length = CURVE_BYTES[curve];
  if (x?.length !== length || y?.length !== length) return null; // RFC 7518 §6.2.1.2
  const point = new Uint8Array(1 + 2 * length);
  point[0] = 4;
  point.set(x, 1);
  point.set(y, 1 + length);
  return { curve, epk: point };
}

/** The KDF's OtherInfo. RFC 7518 §4.6.2: an absent apu or apv still adds a zero 32-bit length. */
function concatKdfInfo(header: JweRecipient["header"], kekBytes: number): Bytes | null {
  const algorithm = new TextEncoder().encode(String(header["alg"]));
  const parts: Uint8Array[] = [uint32(algorithm.length), algorithm];
  for (const value of [header["apu"] ?? "", header["apv"] ?? ""]) {
    const bytes = decoded(value);
    if (bytes === null) return null;
    parts.push(uint32(bytes.length), bytes);
  }
  return concat(...parts, uint32(kekBytes * 8));
}

function decoded(base64url: unknown): Bytes | null {
  return typeof base64url === "string" ? decodeBase64Url(base64url) : null;
}

function uint32(value: number): Bytes {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** Makes a header's value fit for one line of a message. */
export function label(value: unknown): string {
  if (typeof value !== "string") return value === undefined ? "(absent)" : "(not a text)";
  let shown = "";
  for (let i = 0; i < value.length && i < LABEL_CHARS; i++) {
    const character = value.charAt(i);
    shown += character >= " " && character <= "~" ? character : "?";
  }
  return value.length > LABEL_CHARS ? `${shown}…` : shown;
}
