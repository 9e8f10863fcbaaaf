import { type Bytes, totalLength } from "./bytes.ts";

/**
 * The part of DER (X.690 §10) that keys and certificates use: definite lengths, single-byte tags, read in place.
 * Anything else yields null rather than an exception, because callers sort unknown files.
 */
export const TAG = {
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OID: 0x06,
  SEQUENCE: 0x30,
  CONTEXT_0: 0xa0,
  CONTEXT_1: 0xa1,
} as const;

export interface DerElement {
  readonly tag: number;
  /** Content octets, a view. */
  readonly content: Bytes;
  /** Header and content, a view. */
  readonly whole: Bytes;
}

/** Reads the element at `offset`; null when it is malformed. */
export function readElement(bytes: Bytes, offset = 0): DerElement | null {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) return null;
  let start = offset + 2;
  let length = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4 || start + count > bytes.length) return null;
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start + i] ?? 0);
    start += count;
    const minimal = length >= 0x80 && (count === 1 || length >= 2 ** (8 * (count - 1)));
    if (!minimal) return null;
  }
  const end = start + length;
  if (end > bytes.length) return null;
  return { tag, content: bytes.subarray(start, end), whole: bytes.subarray(offset, end) };
}

/** Reads the single element that fills `bytes`; null for another tag or malformed bytes. */
export function readOnly(bytes: Bytes, tag: number): DerElement | null {
  const element = readElement(bytes);
  return element !== null && element.tag === tag && element.whole.length === bytes.length ? element : null;
}

/** Reads the elements of a SEQUENCE's content; null when one is malformed or there are more than `atMost`. */
export function readChildren(content: Bytes, atMost = 16): DerElement[] | null {
  const children: DerElement[] = [];
  for (let offset = 0; offset < content.length; ) {
    const element = readElement(content, offset);
    if (element === null || children.length === atMost) return null;
    children.push(element);
    offset += element.whole.length;
  }
  return children;
}

/** Reads the children of the SEQUENCE that fills `bytes`; null for anything else. */
export function readSequence(bytes: Bytes): DerElement[] | null {
  const sequence = readOnly(bytes, TAG.SEQUENCE);
  return sequence && readChildren(sequence.content);
}

/** Reads a non-negative INTEGER of at most 5 octets; null for anything else. */
export function readSmallInteger(element: DerElement | undefined): number | null {
  if (element?.tag !== TAG.INTEGER || element.content.length === 0 || element.content.length > 5) return null;
  if ((element.content[0] ?? 0) >= 0x80) return null;
  let value = 0;
  for (let i = 0; i < element.content.length; i++) value = value * 256 + (element.content[i] ?? 0);
  return value;
}

/** An OID's content octets as lower-case hex ("2a8648ce3d0201"), the form in which this program names OIDs. */
export function readOid(element: DerElement | undefined): string | null {
  // X.690 §8.19.2: it has one subidentifier at least.
  if (element?.tag !== TAG.OID || element.content.length === 0) return null;
  return element.content.toHex();
}

/** Writes an element. */
export function writeElement(tag: number, ...contents: readonly Uint8Array[]): Bytes {
  const length = totalLength(contents);
  const header = lengthOctets(length);
  const bytes = new Uint8Array(1 + header.length + length);
  bytes[0] = tag;
  bytes.set(header, 1);
  let offset = 1 + header.length;
  for (const part of contents) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** Writes a non-negative INTEGER from big-endian bytes with any number of leading zeros. */
export function writeInteger(magnitude: Uint8Array): Bytes {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
  const digits = magnitude.subarray(start);
  const padded = digits.length === 0 || (digits[0] ?? 0) >= 0x80;
  return padded ? writeElement(TAG.INTEGER, Uint8Array.of(0), digits) : writeElement(TAG.INTEGER, digits);
}

export function writeOid(hex: string): Bytes {
  return writeElement(TAG.OID, Uint8Array.fromHex(hex));
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return [0x80 | octets.length, ...octets];
}
