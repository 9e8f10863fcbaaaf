import { expect, test } from "vitest";
import { pgpKind } from "../../../src/keys/pgp-file.ts";

/** RFC 9580 §4.2.1: a header with a length of this many octets. */
function packet(type: number, length: number, octets: 1 | 2 | 5 = 1): Uint8Array {
  const rest = length - 192;
  const size = {
    1: [length],
    2: [192 + (rest >> 8), rest & 0xff],
    5: [0xff, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff],
  }[octets];
  return Uint8Array.of(0xc0 | type, ...size, ...new Array<number>(length).fill(0xc5));
}

/** RFC 9580 §4.2.2: an old header. @param kind of its length: 0, 1 and 2 have 1, 2 and 4 octets */
function old(type: number, length: number, kind: 0 | 1 | 2 | 3): Uint8Array {
  const octets = kind === 3 ? 0 : 1 << kind;
  const size = Array.from({ length: octets }, (_, i) => (length >> (8 * (octets - 1 - i))) & 0xff);
  return Uint8Array.of(0x80 | (type << 2) | kind, ...size, ...new Array<number>(length).fill(0x95));
}

const [SIGNATURE, SECRET, PUBLIC, SECRET_SUBKEY, USER] = [2, 5, 6, 7, 13];
const kindOf = (...packets: readonly Uint8Array[]) => pgpKind(new Uint8Array(Buffer.concat(packets)));

test.each([
  ["a secret key", [packet(SECRET, 3)], "secret"],
  ["a secret subkey", [packet(SECRET_SUBKEY, 3)], "secret"],
  ["a public key", [packet(PUBLIC, 3), packet(USER, 2), packet(SIGNATURE, 4)], "public"],
  ["both halves", [packet(PUBLIC, 3), packet(USER, 2), packet(SECRET, 3)], "secret"],
  ["a signature", [packet(SIGNATURE, 3)], undefined],
  ["a signature before a key", [packet(SIGNATURE, 3), packet(SECRET, 3)], undefined],
  ["nothing", [], undefined],
  ["text", [Buffer.from("EEEE")], undefined],
  ["an old secret key", [old(SECRET, 3, 0)], "secret"],
  ["an old public key", [old(PUBLIC, 3, 1), old(USER, 2, 2)], "public"],
])("%s is %s", (_what, packets, kind) => {
  expect(kindOf(...packets)).toBe(kind);
});

// The contents would begin with a secret key.
test.each([0, 1, 191])("a packet of %i octets is passed over", (length) => {
  expect(kindOf(packet(PUBLIC, length))).toBe("public");
  expect(kindOf(packet(PUBLIC, length), packet(SECRET, 1))).toBe("secret");
});

test.each([192, 193, 500, 8383])("a packet of %i octets, in two of length, is passed over", (length) => {
  expect(kindOf(packet(PUBLIC, length, 2))).toBe("public");
  expect(kindOf(packet(PUBLIC, length, 2), packet(SECRET, 1))).toBe("secret");
});

test.each([0, 300, 70_000])("a packet of %i octets, in five of length, is passed over", (length) => {
  expect(kindOf(packet(PUBLIC, length, 5))).toBe("public");
  expect(kindOf(packet(PUBLIC, length, 5), packet(SECRET, 1))).toBe("secret");
});

test.each([
  [0, 200],
  [1, 300],
  [2, 70_000],
] as const)("an old packet with a length of kind %i is passed over", (kind, length) => {
  expect(kindOf(old(PUBLIC, length, kind))).toBe("public");
  expect(kindOf(old(PUBLIC, length, kind), old(SECRET, 1, 0))).toBe("secret");
});

test("nothing is looked for after what has no length, or no header", () => {
  const secret = packet(SECRET, 1);
  expect(kindOf(old(PUBLIC, 3, 3), secret)).toBe("public");
  // RFC 9580 §4.2.1.4: a partial length.
  expect(kindOf(Uint8Array.of(0xc0 | PUBLIC, 224, 0), secret)).toBe("public");
  expect(kindOf(Uint8Array.of(0xc0 | PUBLIC, 254, 0), secret)).toBe("public");
  expect(kindOf(packet(PUBLIC, 1), Uint8Array.of(0x7f, 0), secret)).toBe("public");
  expect(kindOf(Uint8Array.of(0xc0 | PUBLIC))).toBe("public");
});
