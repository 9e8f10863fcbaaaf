import { createHash, verify } from "node:crypto";
import {
  type DerElement,
  readChildren,
  readElement,
  readOid,
  readOnly,
  readSequence,
  TAG,
} from "../../encoding/der.ts";
import * as LIMITS from "../../system-limits.ts";
import { keyOf, verifyChain } from "./chain.ts";
import { untrusted } from "./message.ts";
import { isValidAt, type TrustedAuthority } from "./trusted-root.ts";
import { type Certificate, OID, parseCertificate, readTime } from "./x509.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** The signed parts of an RFC 3161 TimeStampResp with one signer. */
interface Token {
  /** TSTInfo, DER. */
  readonly info: Bytes;
  /** When it was made, milliseconds since 1970. */
  readonly time: number;
  readonly imprintHash: string;
  readonly imprint: Bytes;
  /** Certificates that came with it: untrusted. */
  readonly certificates: readonly Bytes[];
  /** Issuer and serial number of the signer's certificate, as DER. */
  readonly issuer: Bytes;
  readonly serial: Bytes;
  readonly digestHash: string;
  readonly signatureHash: string;
  /** The signed attributes, tagged as the SET that the signature is over (RFC 5652 §5.4). */
  readonly attributes: Bytes;
  readonly messageDigest: Bytes;
  readonly signature: Bytes;
}

const SIGNED_DATA = "2a864886f70d010702";
const TST_INFO = "2a864886f70d0109100104";
const CONTENT_TYPE = "2a864886f70d010903";
const MESSAGE_DIGEST = "2a864886f70d010904";
const HASHES: ReadonlyMap<string, string> = new Map([
  ["608648016503040201", "sha256"],
  ["608648016503040202", "sha384"],
  ["608648016503040203", "sha512"],
]);
/** "" takes the digest's: plain rsaEncryption names none (RFC 3370 §3.2). */
const SIGNATURE_HASHES: ReadonlyMap<string, string> = new Map([
  ["2a8648ce3d040302", "sha256"],
  ["2a8648ce3d040303", "sha384"],
  ["2a8648ce3d040304", "sha512"],
  ["2a864886f70d01010b", "sha256"],
  ["2a864886f70d01010c", "sha384"],
  ["2a864886f70d01010d", "sha512"],
  ["2a864886f70d010101", ""],
]);
const TAG_SET = 0x31;
/** PKIStatus, RFC 3161 §2.4.2: granted, granted with modifications. */
const GRANTED = new Set([0, 1]);

/**
 * The time at which a trusted authority saw a signature.
 * @param der TimeStampResp
 * @param signature the signature that was timestamped, as bytes
 * @returns milliseconds since 1970
 * @throws DecoderError UNTRUSTED
 */
export function verifyTimestamp(
  der: Uint8Array,
  signature: Uint8Array,
  authorities: readonly TrustedAuthority[],
): number {
  const token = der.length > LIMITS.timestampBytes ? null : readToken(new Uint8Array(der));
  if (token === null) throw untrusted("its timestamp is malformed");
  if (!isHash(token.imprintHash, signature, token.imprint))
    throw untrusted("its timestamp is of another signature");
  if (!isHash(token.digestHash, token.info, token.messageDigest))
    throw untrusted("its timestamp is not what the timestamp authority signed");
  if (!authorities.some((authority) => isFrom(token, authority)))
    throw untrusted("its timestamp is not from a trusted timestamp authority");
  return token.time;
}

function isHash(hash: string, bytes: Uint8Array, expected: Uint8Array): boolean {
  return Buffer.compare(createHash(hash).update(bytes).digest(), expected) === 0;
}

function isFrom(token: Token, { certificates, validity }: TrustedAuthority): boolean {
  if (!isValidAt(validity, token.time)) return false;
  try {
    const root = certificates.at(-1);
    const others = [...certificates, ...token.certificates.flatMap(parseUntrusted)];
    // An authority that names its signer vouches for no other, whatever its root has issued besides.
    const candidates = certificates.some(({ isCa }) => !isCa) ? certificates : others;
    const signer = candidates.find((it) => isSigner(it, token));
    if (root === undefined || signer === undefined) return false;
    // First, since a chain of a stranger's certificates costs many times as much.
    if (!verify(token.signatureHash, token.attributes, keyOf(signer).key, token.signature)) return false;
    verifyChain(signer, {
      purpose: OID.timeStamping,
      intermediates: others.filter((it) => it !== signer && it !== root),
      roots: [root],
      time: token.time,
    });
    return true;
  } catch {
    return false;
  }
}

function parseUntrusted(der: Bytes): Certificate[] {
  try {
    return [parseCertificate(der)];
  } catch {
    return [];
  }
}

function isSigner({ issuer, serial }: Certificate, token: Token): boolean {
  return Buffer.compare(issuer, token.issuer) === 0 && Buffer.compare(serial, token.serial) === 0;
}

function readToken(der: Bytes): Token | null {
  const [status, token] = readSequence(der) ?? [];
  const code = status && readChildren(status.content)?.[0];
  if (code?.tag !== TAG.INTEGER || code.content.length !== 1 || !GRANTED.has(code.content[0] ?? -1))
    return null;
  const [type, wrapped] = (token && readSequence(token.whole)) ?? [];
  if (readOid(type) !== SIGNED_DATA || wrapped?.tag !== TAG.CONTEXT_0) return null;
  const parts = readSequence(wrapped.content);
  const [contentType, content] = (parts?.[2] && readSequence(parts[2].whole)) ?? [];
  const octets = content?.tag === TAG.CONTEXT_0 ? readOnly(content.content, TAG.OCTET_STRING) : null;
  if (!parts || readOid(contentType) !== TST_INFO || octets === null) return null;
  const signers = parts.at(-1);
  // RFC 3161 §2.4.2: the token has the signature of the authority and no other.
  const signer = signers?.tag === TAG_SET ? readOnly(signers.content, TAG.SEQUENCE) : null;
  const bag = parts.find(({ tag }) => tag === TAG.CONTEXT_0);
  const certificates = bag === undefined ? [] : readChildren(bag.content, LIMITS.timestampItems);
  const info = readInfo(octets.content);
  const signed = signer && readSigner(signer);
  if (info === null || !signed || certificates === null) return null;
  return { ...info, ...signed, info: octets.content, certificates: certificates.map(({ whole }) => whole) };
}

/** TSTInfo, RFC 3161 §2.4.2. */
function readInfo(der: Bytes): Pick<Token, "time" | "imprintHash" | "imprint"> | null {
  const [, , imprint, , time] = readSequence(der) ?? [];
  const [algorithm, hashed] = (imprint && readSequence(imprint.whole)) ?? [];
  const imprintHash = hashOf(algorithm);
  const at = time === undefined ? Number.NaN : readTime(time);
  if (imprintHash === undefined || hashed?.tag !== TAG.OCTET_STRING || Number.isNaN(at)) return null;
  return { time: at, imprintHash, imprint: hashed.content };
}

/** SignerInfo, RFC 5652 §5.3. */
function readSigner(
  signer: DerElement,
): Omit<Token, "info" | "time" | "imprintHash" | "imprint" | "certificates"> | null {
  const [, id, digest, attributes, algorithm, signature] = readChildren(signer.content) ?? [];
  const [issuer, serial] = (id && readSequence(id.whole)) ?? [];
  const digestHash = hashOf(digest);
  const named = algorithm && SIGNATURE_HASHES.get(readOid(readElement(algorithm.content) ?? undefined) ?? "");
  if (digestHash === undefined || named === undefined || serial?.tag !== TAG.INTEGER || !issuer) return null;
  if (attributes?.tag !== TAG.CONTEXT_0 || signature?.tag !== TAG.OCTET_STRING) return null;
  const list = readChildren(attributes.content, LIMITS.timestampItems);
  const type = list && attribute(list, CONTENT_TYPE, TAG.OID);
  const messageDigest = list && attribute(list, MESSAGE_DIGEST, TAG.OCTET_STRING);
  if (!type || !messageDigest || readOid(type) !== TST_INFO) return null;
  const whole = attributes.whole.slice();
  whole[0] = TAG_SET;
  return {
    issuer: issuer.whole,
    serial: serial.content,
    digestHash,
    signatureHash: named === "" ? digestHash : named,
    attributes: whole,
    messageDigest: messageDigest.content,
    signature: signature.content,
  };
}

function hashOf(algorithm: DerElement | undefined): string | undefined {
  const oid = algorithm?.tag === TAG.SEQUENCE ? readOid(readElement(algorithm.content) ?? undefined) : null;
  return HASHES.get(oid ?? "");
}

/** The one value of the attribute that must be there once (RFC 5652 §11). */
function attribute(list: readonly DerElement[], oid: string, tag: number): DerElement | null {
  const values = list.flatMap(({ content }) => {
    const [type, set] = readChildren(content, 2) ?? [];
    return readOid(type) === oid && set?.tag === TAG_SET ? [set] : [];
  });
  const [only] = values;
  return values.length === 1 && only ? readOnly(only.content, tag) : null;
}
