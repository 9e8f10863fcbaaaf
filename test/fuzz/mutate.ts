import { mutateDer } from "./mutate-der.ts";
import { mutateJson } from "./mutate-json.ts";
import type { Random } from "./random.ts";

/** What a target's input is made of, so that changes get past the first look. */
export type Structure = "bytes" | "text" | "json" | "der" | "openpgp" | "tar";

type Mutation = (bytes: Buffer, random: Random, others: readonly Buffer[]) => Buffer;

/** Larger inputs only take time: what they could reach, smaller ones reach. Limits have tests of their own. */
const MOST_BYTES = 64 * 1024;
const MOST_STEPS = 4;
/** Where signs, lengths and limits turn. */
const EDGES = [0, 1, 0x7f, 0x80, 0x81, 0x82, 0x84, 0x88, 0xa0, 0xbf, 0xc0, 0xe0, 0xfe, 0xff];
const WIDE_EDGES = [0, 1, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];
const TOKENS = [
  "{",
  "}",
  "[",
  "]",
  '"',
  ",",
  ":",
  ";",
  "=",
  "%",
  "%00",
  "%zz",
  "\\",
  "\\u0000",
  "null",
  "-1",
  "1e999",
  "0x",
  "\n",
  "\r\n",
  "\0",
  "-----BEGIN ",
  "-----END ",
  "-----",
  "Proc-Type: 4,ENCRYPTED",
  "DEK-Info: AES-256-CBC,",
  "pkcs11:",
  "?",
  "&",
  "pin-value=",
  "&a",
  "*a",
  "<<: *a",
  "---\n",
  "!!binary ",
  "  ",
  "\t",
  "🔑",
  "\u202e",
  "\ufeff",
  "__proto__",
  "constructor",
];

/** A changed copy of one of the seeds, by one to four changes. */
export function mutate(structure: Structure, seeds: readonly Buffer[], random: Random): Buffer {
  let bytes = random.pick(seeds);
  for (let left = 1 + random.below(MOST_STEPS); left > 0; left--) {
    bytes = random.pick(MUTATIONS[structure])(bytes, random, seeds);
    if (bytes.length > MOST_BYTES) bytes = bytes.subarray(0, MOST_BYTES);
  }
  return bytes;
}

const BYTES: readonly Mutation[] = [
  (bytes, random) =>
    changed(bytes, random, (copy, at) => copy.writeUInt8((copy[at] ?? 0) ^ (1 << random.below(8)), at)),
  (bytes, random) => changed(bytes, random, (copy, at) => copy.writeUInt8(random.pick(EDGES), at)),
  (bytes, random) => changed(bytes, random, (copy, at) => random.bytes(1 + random.below(8)).copy(copy, at)),
  wideNumber,
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => bytes.subarray(random.below(bytes.length + 1)),
  (bytes, random) => without(bytes, ...span(bytes, random)),
  (bytes, random) => insert(bytes, random.below(bytes.length + 1), random.bytes(1 + random.below(16))),
  (bytes, random) => insert(bytes, random.below(bytes.length + 1), bytes.subarray(...span(bytes, random))),
  (bytes, random) => {
    const [start, end] = span(bytes, random);
    return insert(bytes, end, Buffer.concat(new Array(random.below(64)).fill(bytes.subarray(start, end))));
  },
  (bytes, random, others) => {
    const other = random.pick(others);
    return Buffer.concat([
      bytes.subarray(0, random.below(bytes.length + 1)),
      other.subarray(random.below(other.length + 1)),
    ]);
  },
];

const TEXT: readonly Mutation[] = [
  (bytes, random) => insert(bytes, random.below(bytes.length + 1), Buffer.from(random.pick(TOKENS))),
  (bytes, random) => {
    const [start, end] = span(bytes, random);
    return Buffer.concat([bytes.subarray(0, start), Buffer.from(random.pick(TOKENS)), bytes.subarray(end)]);
  },
  (bytes, random) => {
    const lines = bytes.toString("latin1").split("\n");
    const [from, to] = [random.below(lines.length), random.below(lines.length)];
    lines.splice(to, random.below(2), lines[from] ?? "");
    return Buffer.from(lines.join("\n"), "latin1");
  },
];

const MUTATIONS: Readonly<Record<Structure, readonly Mutation[]>> = {
  bytes: BYTES,
  text: [...BYTES, ...TEXT, ...TEXT, ...TEXT],
  json: [...BYTES.slice(0, 3), ...TEXT.slice(0, 2), ...new Array(12).fill(mutateJson)],
  der: [...BYTES, ...new Array(16).fill(mutateDer)],
  openpgp: [...BYTES, ...new Array(11).fill(mutatePackets)],
  tar: [...BYTES.slice(0, 3), ...new Array(9).fill(mutateTar)],
};

function changed(bytes: Buffer, random: Random, change: (copy: Buffer, at: number) => void): Buffer {
  if (bytes.length === 0) return bytes;
  const copy = Buffer.from(bytes);
  change(copy, random.below(copy.length));
  return copy;
}

function wideNumber(bytes: Buffer, random: Random): Buffer {
  if (bytes.length < 8) return bytes;
  return changed(bytes, random, (copy, position) => {
    const at = Math.min(position, copy.length - 8);
    const value = random.pick(WIDE_EDGES);
    if (random.chance(3)) copy.writeUInt16BE(value & 0xffff, at);
    else if (random.chance(2)) copy.writeUInt32BE(value, at);
    else copy.writeUInt32LE(value, at);
  });
}

function span(bytes: Buffer, random: Random): [number, number] {
  const start = random.below(bytes.length + 1);
  const most = Math.min(bytes.length - start, random.chance(4) ? bytes.length : 32);
  return [start, start + random.below(most + 1)];
}

function without(bytes: Buffer, start: number, end: number): Buffer {
  return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
}

function insert(bytes: Buffer, at: number, part: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)]);
}

/** RFC 9580 §4.2.1: whole packets with new-format headers; anything else is changed as bytes. */
function mutatePackets(bytes: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  const packets = packetsOf(bytes);
  if (packets.length === 0) return random.pick(BYTES)(bytes, random, others);
  const at = random.below(packets.length);
  const packet = packets[at];
  if (packet === undefined) return bytes;
  switch (random.below(6)) {
    case 0:
      packets.splice(at, 1);
      break;
    case 1:
      packets.splice(random.below(packets.length + 1), 0, packet);
      break;
    case 2:
      packets.splice(
        random.below(packets.length + 1),
        0,
        random.pick(packetsOf(random.pick(others)).concat(packet)),
      );
      break;
    case 3:
      packets[at] = { ...packet, tag: random.below(64) };
      break;
    default:
      packets[at] = { ...packet, body: random.pick(BYTES)(packet.body, random, others) };
  }
  return Buffer.concat(packets.flatMap(({ tag, body }) => [packetHeader(tag, body.length), body]));
}

interface Packet {
  readonly tag: number;
  readonly body: Buffer;
}

function packetsOf(bytes: Buffer): Packet[] {
  const packets: Packet[] = [];
  for (let at = 0; at + 2 < bytes.length; ) {
    const header = bytes[at] ?? 0;
    const first = bytes[at + 1] ?? 0;
    const long = first === 255 && at + 6 <= bytes.length;
    const start = at + (long ? 6 : first < 192 ? 2 : 3);
    const length = long
      ? bytes.readUInt32BE(at + 2)
      : first < 192
        ? first
        : ((first - 192) << 8) + (bytes[at + 2] ?? 0) + 192;
    if ((header & 0xc0) !== 0xc0 || (first >= 224 && !long) || start + length > bytes.length) return packets;
    packets.push({ tag: header & 0x3f, body: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return packets;
}

function packetHeader(tag: number, length: number): Buffer {
  const header = Buffer.from([0xc0 | tag, 0xff, 0, 0, 0, 0]);
  header.writeUInt32BE(length, 2);
  return header;
}

const BLOCK_BYTES = 512;
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;
/** Offsets of a ustar header's fields. */
const FIELDS = [0, 100, 108, 116, 124, 136, 148, 156, 157, 257, 263, 265, 297, 329, 337, 345, 500];

/** Blocks are moved, doubled and dropped; header fields change, and the checksum with them. */
function mutateTar(bytes: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) blocks.push(bytes.subarray(at, at + BLOCK_BYTES));
  const at = random.below(blocks.length);
  const block = blocks[at];
  if (block === undefined) return bytes;
  const kind = random.below(6);
  if (kind === 0) blocks.splice(at, 1 + random.below(3));
  else if (kind === 1) blocks.splice(random.below(blocks.length), 0, block);
  else if (kind === 2) blocks[at] = random.pick(BYTES)(block, random, others).subarray(0, BLOCK_BYTES);
  else blocks[at] = withField(block, random);
  return Buffer.concat(blocks);
}

const FIELD_VALUES = [
  "",
  "0",
  "7",
  "77777777777",
  "-1",
  "\x80\0\0\0\0\0\0\x01",
  "../../etc/x",
  "/abs",
  "a\0b",
  "L",
  "K",
  "x",
  "g",
  "1",
  "2",
  "5",
  "S",
  "ustar\0",
];

function withField(block: Buffer, random: Random): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  block.copy(header);
  header.write(random.pick(FIELD_VALUES), random.pick(FIELDS), "latin1");
  header.fill(0x20, CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, CHECKSUM_AT, "latin1");
  return header;
}
