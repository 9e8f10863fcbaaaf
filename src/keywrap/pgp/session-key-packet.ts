import type { Bytes } from "../../encoding/bytes.ts";
import { KEY_ALGORITHMS } from "./algorithms.ts";
import { malformed } from "./framing.ts";

/** A Public-Key Encrypted Session Key packet (RFC 9580 §5.1): one recipient of a message. */
export interface SessionKeyPacket {
  readonly version: 3 | 6;
  /** Lower-case hex: a key ID (version 3) or a fingerprint (version 6). Undefined for a hidden recipient. */
  readonly keyId: string | undefined;
  /** RFC 9580 §9.1. May be an unsupported one. */
  readonly algorithm: number;
  /** The algorithm's own fields. */
  readonly fields: Bytes;
  /** The whole packet without its header. */
  readonly body: Bytes;
}

const KEY_ID_BYTES = 8;
const WILDCARD = "00".repeat(KEY_ID_BYTES);

/**
 * Reads a packet's body.
 * @returns undefined for an undefined version, which readers ignore (RFC 9580 §5.1)
 * @throws DecoderError BAD_PACKET
 */
export function readSessionKeyPacket(body: Bytes): SessionKeyPacket | undefined {
  const version = body[0];
  if (version === 3) return readVersion3(body);
  if (version === 6) return readVersion6(body);
  return undefined;
}

function readVersion3(body: Bytes): SessionKeyPacket {
  const id = body.subarray(1, 1 + KEY_ID_BYTES).toHex();
  return {
    version: 3,
    keyId: id === WILDCARD ? undefined : id,
    ...algorithmAndFields(body, 1 + KEY_ID_BYTES),
  };
}

/** RFC 9580 §5.1.2: the length covers key version and fingerprint, and is zero for a hidden recipient. */
function readVersion6(body: Bytes): SessionKeyPacket {
  const length = body[1] ?? 0;
  const keyId = length === 0 ? undefined : body.subarray(3, 2 + length).toHex();
  return { version: 6, keyId, ...algorithmAndFields(body, 2 + length) };
}

function algorithmAndFields(
  body: Bytes,
  offset: number,
): Pick<SessionKeyPacket, "algorithm" | "fields" | "body"> {
  const algorithm = body[offset];
  if (algorithm === undefined) throw malformed("it has an OpenPGP session key packet that is cut off");
  return { algorithm, fields: body.subarray(offset + 1), body };
}

/**
 * The number at the beginning of the fields of RSA, ElGamal and ECDH, after its length in bits (RFC 9580 §3.2, §5.1). It is as
 * long as the key's modulus, or a point on its curve.
 */
export function firstNumber(fields: Bytes): Bytes {
  const bits = ((fields[0] ?? 0) << 8) | (fields[1] ?? 0);
  return fields.subarray(2, 2 + Math.ceil(bits / 8));
}

export function algorithmName(algorithm: number): string {
  return KEY_ALGORITHMS.get(algorithm)?.name ?? `algorithm ${algorithm}`;
}

/** Names a recipient in messages: "RSA 0x51a3…", "ECDH with a hidden key ID". */
export function describeRecipient({ algorithm, keyId }: SessionKeyPacket): string {
  return `${algorithmName(algorithm)} ${keyId === undefined ? "with a hidden key ID" : `0x${keyId}`}`;
}
