import type { Random } from "./random.ts";

/** An element, and those it is made of, where its content can be read so. */
interface Element {
  tag: number;
  content: Buffer;
  children: Element[] | null;
  /** How its length is written: shortest, with a zero in front, or indefinite (X.690 §8.1.3). */
  length: "definite" | "padded" | "indefinite";
}

const CONSTRUCTED = 0x20;
const MOST_DEPTH = 24;
/** Tags of ASN.1's own types and of contexts. */
const TAGS = [
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x10, 0x13, 0x17, 0x1e, 0x1f, 0x24, 0x30, 0x31, 0x80, 0x81, 0xa0,
  0xa1, 0xa2, 0xff,
];

/** Changes one element of a DER or BER encoding and writes the lengths around it anew. */
export function mutateDer(bytes: Buffer, random: Random): Buffer {
  const roots = parse(bytes, 0);
  if (roots === null || roots.length === 0) return bytes;
  const lists = listsOf(roots);
  const list = random.pick(lists);
  const at = random.below(list.length);
  const element = list[at];
  if (element === undefined) return bytes;
  switch (random.below(9)) {
    case 0:
      list.splice(at, 1);
      break;
    case 1:
      list.splice(random.below(list.length + 1), 0, ...new Array(1 + random.below(20)).fill(element));
      break;
    case 2: {
      const other = random.pick(random.pick(lists));
      list[at] = structuredClone(other);
      break;
    }
    case 3:
      element.tag = random.pick(TAGS);
      break;
    case 4:
      element.length = random.pick(["padded", "indefinite"]);
      break;
    case 5:
      for (let depth = random.below(40); depth > 0; depth--) nest(list, at, random);
      break;
    default:
      replaceContent(element, random);
  }
  return Buffer.concat(roots.map((root) => write(root)));
}

function nest(list: Element[], at: number, random: Random): void {
  const inner = list[at];
  if (inner === undefined) return;
  const length = random.chance(2) ? "indefinite" : "definite";
  list[at] = { tag: random.pick([0x30, 0x24, 0xa0]), content: Buffer.alloc(0), children: [inner], length };
}

function replaceContent(element: Element, random: Random): void {
  const content = Buffer.from(
    element.children ? Buffer.concat(element.children.map((it) => write(it))) : element.content,
  );
  element.children = null;
  switch (random.below(5)) {
    case 0:
      element.content = random.bytes(random.below(40));
      break;
    case 1:
      element.content = content.subarray(0, random.below(content.length + 1));
      break;
    case 2:
      element.content = Buffer.concat([content, random.bytes(1 + random.below(4))]);
      break;
    case 3:
      element.content = Buffer.alloc(random.below(600), random.pick([0, 0xff, 0x30]));
      break;
    default:
      if (content.length > 0) {
        const at = random.below(content.length);
        content[at] = (content[at] ?? 0) ^ (1 << random.below(8));
      }
      element.content = content;
  }
}

function listsOf(roots: Element[]): Element[][] {
  const lists = [roots];
  for (const list of lists) {
    for (const { children } of list) if (children !== null && children.length > 0) lists.push(children);
  }
  return lists;
}

/** Null when the bytes are no sequence of elements. */
function parse(bytes: Buffer, depth: number): Element[] | null {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1];
    let start = at + 2;
    if (length === undefined || (tag & 0x1f) === 0x1f) return null;
    if (length > 0x80) {
      const count = length & 0x7f;
      if (count > 3 || start + count > bytes.length) return null;
      length = bytes.readUIntBE(start, count);
      start += count;
    }
    if (length === 0x80 || start + length > bytes.length) return null;
    const content = bytes.subarray(start, start + length);
    const mayHaveChildren =
      (tag & CONSTRUCTED) !== 0 || (tag === 0x04 && content[0] === 0x30) || tag === 0x10;
    const children = mayHaveChildren && depth < MOST_DEPTH ? parse(content, depth + 1) : null;
    elements.push({ tag, content, children, length: "definite" });
    at = start + length;
  }
  return elements;
}

function write(element: Element): Buffer {
  const content = element.children ? Buffer.concat(element.children.map((it) => write(it))) : element.content;
  if (element.length === "indefinite") {
    return Buffer.concat([Buffer.from([element.tag | CONSTRUCTED, 0x80]), content, Buffer.from([0, 0])]);
  }
  const size = Buffer.alloc(4);
  size.writeUInt32BE(content.length);
  const octets =
    element.length === "padded" ? size : size.subarray(size.findIndex((byte, i) => byte !== 0 || i === 3));
  const short = element.length === "definite" && content.length < 0x80;
  const header = short ? [element.tag, content.length] : [element.tag, 0x80 | octets.length, ...octets];
  return Buffer.concat([Buffer.from(header), content]);
}
