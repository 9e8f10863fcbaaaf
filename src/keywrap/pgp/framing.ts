import { type Bytes, concat } from "../../encoding/bytes.ts";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../limits.ts";

/** An OpenPGP packet without its header. */
export interface Packet {
  /** Packet type (RFC 9580 §5). */
  readonly tag: number;
  readonly body: Bytes;
}

/** Packet types (RFC 9580 §5). GnuPG uses 20 (draft-ietf-openpgp-rfc4880bis-10 §5.16). */
export const TAG = {
  sessionKey: 1,
  passwordSessionKey: 3,
  secretKey: 5,
  secretSubkey: 7,
  compressed: 8,
  unprotectedData: 9,
  marker: 10,
  literal: 11,
  protectedData: 18,
  gnupgAead: 20,
  padding: 21,
} as const;

/** RFC 9580 §4.2.1.4: only data packets may come in parts. Go's first part is shorter than the required 512 octets. */
const MAY_BE_PARTIAL: ReadonlySet<number> = new Set([
  TAG.compressed,
  TAG.unprotectedData,
  TAG.literal,
  TAG.protectedData,
  TAG.gnupgAead,
]);

/**
 * Splits a message or keyring into packets, in both header formats (RFC 9580 §4.2). Their content is not checked.
 * @throws DecoderError BAD_PACKET for a sequence that is cut off, malformed or longer than any real one
 */
export function readPackets(bytes: Bytes): Packet[] {
  const packets: Packet[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    if (packets.length === LIMITS.pgpPackets)
      throw malformed(`it has more than ${LIMITS.pgpPackets} OpenPGP packets`);
    const header = bytes[offset] ?? 0;
    if ((header & 0x80) === 0) throw malformed("it is not a sequence of OpenPGP packets");
    const { end, ...packet } = (header & 0x40) === 0 ? readLegacy(bytes, offset) : readCurrent(bytes, offset);
    packets.push(packet);
    offset = end;
  }
  return packets;
}

/** Writes packets in the current format with definite lengths of five octets (RFC 9580 §4.2.1.3). */
export function writePackets(packets: readonly Packet[]): Bytes {
  return concat(
    ...packets.flatMap(({ tag, body }) => {
      const header = new Uint8Array(6);
      header.set([0xc0 | tag, 0xff]);
      new DataView(header.buffer).setUint32(2, body.length);
      return [header, body];
    }),
  );
}

type Located = Packet & { readonly end: number };

/** RFC 9580 §4.2.2: the header octet gives the size of the length. The form "to the end" is for data packets only. */
function readLegacy(bytes: Bytes, offset: number): Located {
  const header = bytes[offset] ?? 0;
  const lengthType = header & 3;
  if (lengthType === 3) throw malformed("it has an OpenPGP packet of indeterminate length");
  const start = offset + 1 + (1 << lengthType);
  return { tag: (header & 0x3f) >> 2, ...slice(bytes, start, number(bytes, offset + 1, start)) };
}

/** RFC 9580 §4.2.1: the length has one, two or five octets, or the body comes in parts. */
function readCurrent(bytes: Bytes, offset: number): Located {
  const tag = (bytes[offset] ?? 0) & 0x3f;
  const parts: Bytes[] = [];
  let length = readLength(bytes, offset + 1);
  while (length.partial) {
    if (!MAY_BE_PARTIAL.has(tag))
      throw malformed("it has an OpenPGP packet in parts, of a type that must be whole");
    if (parts.length === LIMITS.pgpPackets) throw malformed("it has an OpenPGP packet in too many parts");
    const { body, end } = slice(bytes, length.end, length.value);
    parts.push(body);
    length = readLength(bytes, end);
  }
  const { body, end } = slice(bytes, length.end, length.value);
  return { tag, body: parts.length === 0 ? body : concat(...parts, body), end };
}

interface Length {
  readonly value: number;
  readonly end: number;
  readonly partial: boolean;
}

function readLength(bytes: Bytes, offset: number): Length {
  const first = number(bytes, offset, offset + 1);
  if (first < 192) return { value: first, end: offset + 1, partial: false };
  if (first < 224) {
    const value = ((first - 192) << 8) + number(bytes, offset + 1, offset + 2) + 192;
    return { value, end: offset + 2, partial: false };
  }
  if (first < 255) return { value: 2 ** (first & 0x1f), end: offset + 1, partial: true };
  return { value: number(bytes, offset + 1, offset + 5), end: offset + 5, partial: false };
}

function number(bytes: Bytes, start: number, end: number): number {
  if (end > bytes.length) throw cutOff();
  return bytes.subarray(start, end).reduce((value, byte) => value * 256 + byte, 0);
}

function slice(bytes: Bytes, start: number, length: number): { readonly body: Bytes; readonly end: number } {
  const end = start + length;
  if (end > bytes.length) throw cutOff();
  return { body: bytes.subarray(start, end), end };
}

function cutOff(): DecoderError {
  return malformed("it ends inside an OpenPGP packet");
}

export function malformed(message: string): DecoderError {
  return new DecoderError("BAD_PACKET", message);
}
