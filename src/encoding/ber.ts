import { DecoderError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { type DerElement, TAG } from "./der.ts";

/**
 * BER (X.690 §8) as CMS packets come in it: also with indefinite and padded lengths. Read in place and only as deep
 * as it is asked for; what is not read is only measured.
 */
type Bytes = Uint8Array<ArrayBuffer>;

/** Same shape as DER's. `content` of an indefinite-length element is without its end-of-contents octets. */
export type BerElement = DerElement;

const CONSTRUCTED = 0x20;
const LONG_TAG = 0x1f;
const INDEFINITE = 0x80;
const END_OF_CONTENTS_BYTES = 2;

export function malformed(what: string): DecoderError {
  return new DecoderError("BAD_PACKET", `the PKCS#7 packet is malformed: ${what}`);
}

/** The element at `offset`. @throws DecoderError BAD_PACKET */
export function readBer(bytes: Bytes, offset = 0): BerElement {
  const { tag, start, end, next } = measure(bytes, offset, 0);
  return { tag, content: bytes.subarray(start, end), whole: bytes.subarray(offset, next) };
}

/** The elements that `parent` is made of. @throws DecoderError BAD_PACKET, also for more than `atMost` */
export function readChildren(parent: BerElement, atMost = 16): BerElement[] {
  const children: BerElement[] = [];
  for (let offset = 0; offset < parent.content.length; ) {
    if (children.length === atMost) throw malformed("too many elements");
    const child = readBer(parent.content, offset);
    children.push(child);
    offset += child.whole.length;
  }
  return children;
}

/** Takes an element's children one after another, as its ASN.1 type lists them. */
export class Fields {
  readonly #name: string;
  readonly #children: BerElement[];
  #next = 0;

  /** @param name of the ASN.1 type, for messages */
  constructor(parent: BerElement, name: string) {
    this.#name = name;
    this.#children = readChildren(parent);
  }

  /** The next child, if it has one of these tags. */
  optional(...tags: readonly number[]): BerElement | undefined {
    const child = this.#children[this.#next];
    if (child === undefined || !tags.includes(child.tag)) return undefined;
    this.#next++;
    return child;
  }

  /** @throws DecoderError BAD_PACKET when the next child has none of these tags */
  required(...tags: readonly number[]): BerElement {
    const child = this.optional(...tags);
    if (child === undefined) throw malformed(`not the fields of ${this.#name}`);
    return child;
  }

  /** The next child, whatever it is. */
  any(): BerElement | undefined {
    return this.#children[this.#next++];
  }

  /** @throws DecoderError BAD_PACKET when there are children left */
  end(): void {
    if (this.#next < this.#children.length) throw malformed(`more than the fields of ${this.#name}`);
  }
}

/** An OCTET STRING with an IMPLICIT tag: whole, or in segments as a streaming writer makes it (X.690 §8.7.3). */
export function readOctets(element: BerElement): Bytes {
  if ((element.tag & CONSTRUCTED) === 0) return element.content;
  const segments = readChildren(element, LIMITS.cmsSegments);
  if (segments.some((segment) => segment.tag !== TAG.OCTET_STRING)) throw malformed("nested segments");
  const bytes = new Uint8Array(segments.reduce((sum, { content }) => sum + content.length, 0));
  let offset = 0;
  for (const { content } of segments) {
    bytes.set(content, offset);
    offset += content.length;
  }
  return bytes;
}

interface Extent {
  readonly tag: number;
  readonly start: number;
  /** Where the contents end, and where the next element begins. */
  readonly end: number;
  readonly next: number;
}

function measure(bytes: Bytes, offset: number, depth: number): Extent {
  const tag = byteAt(bytes, offset);
  if ((tag & LONG_TAG) === LONG_TAG) throw malformed("a tag number that CMS doesn't have");
  const first = byteAt(bytes, offset + 1);
  if (first === INDEFINITE) return measureIndefinite(bytes, tag, offset + 2, depth);
  let start = offset + 2;
  let length = first;
  if (first > INDEFINITE) {
    const count = first & 0x7f;
    if (count > 4) throw malformed("an element longer than any packet");
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + byteAt(bytes, start + i);
    start += count;
  }
  const end = start + length;
  if (end > bytes.length) throw malformed("it ends too early");
  return { tag, start, end, next: end };
}

function measureIndefinite(bytes: Bytes, tag: number, start: number, depth: number): Extent {
  if ((tag & CONSTRUCTED) === 0) throw malformed("a primitive element without a length");
  if (depth === LIMITS.cmsDepth) throw malformed("nested too deep");
  let end = start;
  while (byteAt(bytes, end) !== 0 || byteAt(bytes, end + 1) !== 0) end = measure(bytes, end, depth + 1).next;
  return { tag, start, end, next: end + END_OF_CONTENTS_BYTES };
}

function byteAt(bytes: Bytes, offset: number): number {
  const byte = bytes[offset];
  if (byte === undefined) throw malformed("it ends too early");
  return byte;
}
