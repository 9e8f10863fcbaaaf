/**
 * The little DER (X.690 §10) that private keys are made of: definite lengths, single-byte tags, read in place.
 * Anything else is "not DER" (null), never an exception: callers are sorting unknown files.
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
  /** The content octets, a view. */
  readonly content: Uint8Array<ArrayBuffer>;
  /** Header and content, a view. */
  readonly whole: Uint8Array<ArrayBuffer>;
}

/** The element at `offset`, or null when there is no well-formed one. */
export function readElement(bytes: Uint8Array<ArrayBuffer>, offset = 0): DerElement | null {
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

/** The one element that fills all of `bytes`, or null. */
export function readOnly(bytes: Uint8Array<ArrayBuffer>, tag: number): DerElement | null {
  const element = readElement(bytes);
  return element !== null && element.tag === tag && element.whole.length === bytes.length ? element : null;
}

/** The elements of a SEQUENCE's content, or null when any of it is malformed. */
export function readChildren(content: Uint8Array<ArrayBuffer>, atMost = 16): DerElement[] | null {
  const children: DerElement[] = [];
  for (let offset = 0; offset < content.length; ) {
    const element = readElement(content, offset);
    if (element === null || children.length === atMost) return null;
    children.push(element);
    offset += element.whole.length;
  }
  return children;
}

/** The children of the SEQUENCE that fills all of `bytes`, or null. */
export function readSequence(bytes: Uint8Array<ArrayBuffer>): DerElement[] | null {
  const sequence = readOnly(bytes, TAG.SEQUENCE);
  return sequence && readChildren(sequence.content);
}

/** A small non-negative INTEGER, or null. */
export function readSmallInteger(element: DerElement | undefined): number | null {
  if (element?.tag !== TAG.INTEGER || element.content.length === 0 || element.content.length > 5) return null;
  if ((element.content[0] ?? 0) >= 0x80) return null;
  return element.content.reduce((value, byte) => value * 256 + byte, 0);
}

/** An OID's content octets as lower-case hex, which serves as its name here ("2a8648ce3d0201"). */
export function readOid(element: DerElement | undefined): string | null {
  if (element?.tag !== TAG.OID) return null;
  return element.content.toHex();
}

/** One element with the given content. */
export function writeElement(tag: number, ...contents: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
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

/** A non-negative INTEGER from big-endian bytes of any padding. */
export function writeInteger(magnitude: Uint8Array): Uint8Array<ArrayBuffer> {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
  const digits = magnitude.subarray(start);
  const padded = digits.length === 0 || (digits[0] ?? 0) >= 0x80;
  return padded ? writeElement(TAG.INTEGER, Uint8Array.of(0), digits) : writeElement(TAG.INTEGER, digits);
}

export function writeOid(hex: string): Uint8Array<ArrayBuffer> {
  return writeElement(TAG.OID, Uint8Array.fromHex(hex));
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return [0x80 | octets.length, ...octets];
}
