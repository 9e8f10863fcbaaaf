import { createHash, verify } from "node:crypto";
import { readOnly, TAG, writeElement } from "../../encoding/der.ts";
import * as LIMITS from "../../system-limits.ts";
import { untrusted } from "./message.ts";
import { isValidAt, type TrustedLog } from "./trusted-root.ts";
import { type Certificate, OID } from "./x509.ts";

/** A signed certificate timestamp, RFC 6962 §3.2. */
interface Timestamp {
  readonly logId: Uint8Array;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly extensions: Uint8Array;
  readonly hash: number;
  readonly algorithm: number;
  readonly signature: Uint8Array;
}

const VERSION_1 = 0;
/** RFC 5246 §7.4.1.4.1. */
const SHA256 = 4;
const SIGNATURE_ALGORITHMS: ReadonlyMap<number, string> = new Map([
  [1, "rsa"],
  [3, "ec"],
]);
const LOG_ID_BYTES = 32;
const FIXED_BYTES = 1 + LOG_ID_BYTES + 8;
const TAG_EXTENSIONS = 0xa3;
/** RFC 6962 §3.2: certificate_timestamp(0), then the time, then precert_entry(1). */
const CERTIFICATE_TIMESTAMP = 0;
const PRECERT_ENTRY = 1;

/**
 * Whether one of the trusted logs promised to publish the certificate, by a timestamp inside it.
 * @param issuer who signed the certificate
 * @throws DecoderError UNTRUSTED when none did
 */
export function checkTimestamps(leaf: Certificate, issuer: Certificate, logs: readonly TrustedLog[]): void {
  const extension = leaf.extensions.get(OID.certificateTimestamps);
  if (extension === undefined) throw untrusted("its certificate has no signed certificate timestamp (SCT)");
  const timestamps = readTimestamps(extension.value);
  if (timestamps === null)
    throw untrusted("its certificate's signed certificate timestamps (SCT) are malformed");
  const precertificate = precertificateOf(leaf, issuer);
  const isPromised = timestamps.some((timestamp) =>
    logs.some((log) => isFrom(timestamp, log) && isSigned(timestamp, precertificate, log)),
  );
  if (!isPromised)
    throw untrusted("its certificate has no signed certificate timestamp (SCT) of a trusted certificate log");
}

function isFrom({ logId, time }: Timestamp, { id, validity }: TrustedLog): boolean {
  return Buffer.compare(logId, id) === 0 && isValidAt(validity, time);
}

/** The list of RFC 6962 §3.3, an OCTET STRING of its own inside the extension. */
function readTimestamps(value: Uint8Array<ArrayBuffer>): Timestamp[] | null {
  const list = readOnly(value, TAG.OCTET_STRING)?.content;
  if (list === undefined || list.length < 2 || uint16(list, 0) !== list.length - 2) return null;
  const timestamps: Timestamp[] = [];
  for (let offset = 2; offset < list.length; ) {
    const end = offset + 2 + uint16(list, offset);
    const timestamp = end > list.length ? null : readTimestamp(list.subarray(offset + 2, end));
    if (timestamp === null || timestamps.length === LIMITS.certificateTimestamps) return null;
    timestamps.push(timestamp);
    offset = end;
  }
  return timestamps;
}

function readTimestamp(bytes: Uint8Array): Timestamp | null {
  if (bytes.length < FIXED_BYTES + 2 || bytes[0] !== VERSION_1) return null;
  const afterExtensions = FIXED_BYTES + 2 + uint16(bytes, FIXED_BYTES);
  const start = afterExtensions + 4;
  if (bytes.length < start || bytes.length !== start + uint16(bytes, afterExtensions + 2)) return null;
  return {
    logId: bytes.subarray(1, 1 + LOG_ID_BYTES),
    time: Number(Buffer.from(bytes.subarray(1 + LOG_ID_BYTES, FIXED_BYTES)).readBigUInt64BE()),
    extensions: bytes.subarray(FIXED_BYTES, afterExtensions),
    hash: bytes[afterExtensions] ?? 0,
    algorithm: bytes[afterExtensions + 1] ?? 0,
    signature: bytes.subarray(start),
  };
}

function uint16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

/** PreCert of RFC 6962 §3.2: the issuer key's hash, and the certificate as it was before its timestamps went in. */
function precertificateOf(leaf: Certificate, issuer: Certificate): Uint8Array {
  const fields = leaf.fields.map(({ tag, whole }) => {
    if (tag !== TAG_EXTENSIONS) return whole;
    const kept = [...leaf.extensions].filter(([oid]) => oid !== OID.certificateTimestamps);
    const list = writeElement(TAG.SEQUENCE, ...kept.map(([, extension]) => extension.whole));
    return writeElement(TAG_EXTENSIONS, list);
  });
  const tbs = writeElement(TAG.SEQUENCE, ...fields);
  const length = Uint8Array.of(tbs.length >> 16, (tbs.length >> 8) & 0xff, tbs.length & 0xff);
  return Buffer.concat([createHash("sha256").update(issuer.spki).digest(), length, tbs]);
}

function isSigned(timestamp: Timestamp, precertificate: Uint8Array, { key }: TrustedLog): boolean {
  const { hash, algorithm, time, extensions, signature } = timestamp;
  if (hash !== SHA256 || SIGNATURE_ALGORITHMS.get(algorithm) !== key.algorithm) return false;
  const head = Buffer.alloc(12);
  head[0] = VERSION_1;
  head[1] = CERTIFICATE_TIMESTAMP;
  head.writeBigUInt64BE(BigInt(time), 2);
  head.writeUInt16BE(PRECERT_ENTRY, 10);
  try {
    return verify("sha256", Buffer.concat([head, precertificate, extensions]), key.key, signature);
  } catch {
    return false;
  }
}
