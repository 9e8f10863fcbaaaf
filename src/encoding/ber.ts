import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import { type Bytes, concat } from "./bytes.ts";
import { type DerElement, TAG } from "./der.ts";

/**
 * BER (X.690 §8) of CMS packets, with indefinite and padded lengths. Elements are read in place, one level at a time.
 * Deeper levels are only measured.
 */

/** Like a DER element. `content` excludes the end-of-contents octets of an indefinite length. */
export type BerElement = DerElement;

const CONSTRUCTED = 0x20;
const LONG_TAG = 0x1f;
const INDEFINITE = 0x80;
const END_OF_CONTENTS_BYTES = 2;

export function malformed(what: string): DecoderError {
  return new DecoderError("BAD_PACKET", `the PKCS#7 packet is malformed: ${what}`);
}

/** Reads the element at `offset`. @throws DecoderError BAD_PACKET */
export function readBer(bytes: Bytes, offset = 0): BerElement {
  const { tag, start, end, next } = measure(bytes, offset, 0);
  return { tag, content: bytes.subarray(start, end), whole: bytes.subarray(offset, next) };
}

/** Reads the elements inside `parent`. @throws DecoderError BAD_PACKET, also for more than `atMost` */
export function readChildren(parent: BerElement, atMost = 16): BerElement[] {
  const children: BerElement[] = [];
  for (let offset = 0; offset < parent.content.length; ) {
    if (children.length === atMost) throw malformed("an element has too many children");
    const child = readBer(parent.content, offset);
    children.push(child);
    offset += child.whole.length;
  }
  return children;
}

/** Consumes an element's children in the order of its ASN.1 type. */
export class Fields {
  readonly #name: string;
  readonly #children: BerElement[];
  #next = 0;

  /** @param name the ASN.1 type's name, for messages */
  constructor(parent: BerElement, name: string) {
    this.#name = name;
    this.#children = readChildren(parent);
  }

  /** Consumes the next child if it has one of these tags. */
  optional(...tags: readonly number[]): BerElement | undefined {
    const child = this.#children[this.#next];
    if (child === undefined || !tags.includes(child.tag)) return undefined;
    this.#next++;
    return child;
  }

  /** Consumes the next child. @throws DecoderError BAD_PACKET when it has none of these tags */
  required(...tags: readonly number[]): BerElement {
    const child = this.optional(...tags);
    if (child === undefined) throw malformed(`${this.#name} has unexpected fields`);
    return child;
  }

  /** Consumes the next child, whatever its tag. */
  any(): BerElement | undefined {
    return this.#children[this.#next++];
  }

  /** @throws DecoderError BAD_PACKET when children are left */
  end(): void {
    if (this.#next < this.#children.length) throw malformed(`${this.#name} has too many fields`);
  }
}

/** Reads an OCTET STRING with an IMPLICIT tag, whole or in the segments of a streaming writer (X.690 §8.7.3). */
export function readOctets(element: BerElement): Bytes {
  if ((element.tag & CONSTRUCTED) === 0) return element.content;
  const segments = readChildren(element, LIMITS.cmsSegments);
  if (segments.some((segment) => segment.tag !== TAG.OCTET_STRING))
    throw malformed("its content has nested segments");
  return concat(...segments.map(({ content }) => content));
}

interface Extent {
  readonly tag: number;
  readonly start: number;
  /** Offsets of the content's end and of the next element. */
  readonly end: number;
  readonly next: number;
}

function measure(bytes: Bytes, offset: number, depth: number): Extent {
  const tag = byteAt(bytes, offset);
  if ((tag & LONG_TAG) === LONG_TAG) throw malformed("it has a multi-byte tag, which CMS does not use");
  const first = byteAt(bytes, offset + 1);
  if (first === INDEFINITE) return measureIndefinite(bytes, tag, offset + 2, depth);
  let start = offset + 2;
  let length = first;
  if (first > INDEFINITE) {
    const count = first & 0x7f;
    if (count > 4) throw malformed("an element is longer than any packet");
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + byteAt(bytes, start + i);
    start += count;
  }
  const end = start + length;
  if (end > bytes.length) throw malformed("it is cut off");
  return { tag, start, end, next: end };
}

function measureIndefinite(bytes: Bytes, tag: number, start: number, depth: number): Extent {
  if ((tag & CONSTRUCTED) === 0) throw malformed("a primitive element has an indefinite length");
  if (depth === LIMITS.cmsDepth) throw malformed("its elements are nested too deep");
  let end = start;
  while (byteAt(bytes, end) !== 0 || byteAt(bytes, end + 1) !== 0) end = measure(bytes, end, depth + 1).next;
  return { tag, start, end, next: end + END_OF_CONTENTS_BYTES };
}

function byteAt(bytes: Bytes, offset: number): number {
  const byte = bytes[offset];
  if (byte === undefined) throw malformed("it is cut off");
  return byte;
}
