import { constants, type KeyObject, privateDecrypt, randomBytes } from "node:crypto";
import { type BerElement, Fields, readBer } from "../../encoding/ber.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { readOid, TAG } from "../../encoding/der.ts";
import { unpadPkcs1 } from "../../keys/rsa.ts";
import { dotted } from "./name.ts";

/** The way a content key is encrypted with an RSA key. */
export interface KeyTransport {
  readonly name: string;
  /** Undefined: PKCS#1 v1.5 (RFC 8017 §7.2). */
  readonly oaep?: { readonly hash: string; readonly label: Bytes };
}

const RSA_ENCRYPTION = "2a864886f70d010101";
const RSAES_OAEP = "2a864886f70d010107";
const MGF1 = "2a864886f70d010108";
const P_SPECIFIED = "2a864886f70d010109";
const SHA1 = "2b0e03021a";

const HASHES: ReadonlyMap<string, string> = new Map([
  [SHA1, "sha1"],
  ["608648016503040201", "sha256"],
  ["608648016503040202", "sha384"],
  ["608648016503040203", "sha512"],
]);

/**
 * Reads a keyEncryptionAlgorithm (RFC 3370 §4.2.1, RFC 4055 §4.1).
 * @returns the name of an unsupported one
 * @throws DecoderError BAD_PACKET
 */
export function readKeyTransport(algorithm: BerElement): KeyTransport | { readonly unsupported: string } {
  const fields = new Fields(algorithm, "AlgorithmIdentifier");
  const oid = readOid(fields.required(TAG.OID)) ?? "";
  const parameters = fields.any();
  fields.end();
  if (oid === RSA_ENCRYPTION) return { name: "rsaEncryption" };
  if (oid === RSAES_OAEP) return readOaep(parameters);
  return { unsupported: dotted(oid) };
}

/** RFC 4055 §4.1: absent parameters default to SHA-1 and the empty label. */
function readOaep(parameters: BerElement | undefined): KeyTransport | { readonly unsupported: string } {
  const explicit = (element: BerElement | undefined) => element && readBer(element.content);
  const fields = parameters && new Fields(parameters, "RSAES-OAEP-params");
  const hashField = explicit(fields?.optional(0xa0));
  const maskField = explicit(fields?.optional(0xa1));
  const sourceField = explicit(fields?.optional(0xa2));
  fields?.end();

  const hashOid = hashField ? algorithmOf(hashField).oid : SHA1;
  const mask = maskField && algorithmOf(maskField);
  const maskHashOid = mask?.parameters ? algorithmOf(mask.parameters).oid : SHA1;
  const source = sourceField && algorithmOf(sourceField);

  const hash = HASHES.get(hashOid);
  // Crypto libraries take one hash for both purposes, and no known writer uses two.
  if (hash === undefined || maskHashOid !== hashOid || (mask && mask.oid !== MGF1)) {
    return { unsupported: `RSAES-OAEP with hash ${hash ?? dotted(hashOid)} and mask ${dotted(maskHashOid)}` };
  }
  if (source && source.oid !== P_SPECIFIED) return { unsupported: `RSAES-OAEP with ${dotted(source.oid)}` };
  return {
    name: `RSAES-OAEP-${hash}`,
    oaep: { hash, label: source?.parameters?.content ?? new Uint8Array() },
  };
}

function algorithmOf(element: BerElement): {
  readonly oid: string;
  readonly parameters: BerElement | undefined;
} {
  const fields = new Fields(element, "AlgorithmIdentifier");
  return { oid: readOid(fields.required(TAG.OID)) ?? "", parameters: fields.any() };
}

/**
 * Decrypts the content key. Returns random bytes in its place for a wrong key, padding or length: an attacker may have chosen
 * the ciphertext, so these cases must look alike, and only the content's tag fails (RFC 3218 §2.3.2).
 * @param encrypted as long as the key's modulus
 * @param length of the content key in bytes
 */
export function decryptContentKey(
  key: KeyObject,
  transport: KeyTransport,
  encrypted: Bytes,
  length: number,
): Bytes {
  const substitute = new Uint8Array(randomBytes(length));
  try {
    if (transport.oaep === undefined) {
      // Runtimes refuse PKCS#1 v1.5 decryption, or reject bad padding in ways of their own.
      const block = privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, encrypted);
      const contentKey = unpadPkcs1(block, substitute);
      block.fill(0);
      return contentKey;
    }
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    const { hash, label } = transport.oaep;
    const found = privateDecrypt({ key, padding, oaepHash: hash, oaepLabel: label }, encrypted);
    const contentKey = found.length === length ? new Uint8Array(found) : substitute;
    found.fill(0);
    return contentKey;
  } catch {
    return substitute;
  }
}
