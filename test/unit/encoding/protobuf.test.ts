import { describe, expect, test } from "vitest";
import { decodeFields, encodeField } from "../../../src/encoding/protobuf.ts";

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));

/** Fields by number, as hex. */
function decoded(hex: string): Record<string, string> | null {
  const fields = decodeFields(bytes(hex));
  return (
    fields &&
    Object.fromEntries([...fields].map(([number, value]) => [number, Buffer.from(value).toString("hex")]))
  );
}

describe("decoding", () => {
  test.each([
    ["", {}],
    ["0a 00", { 1: "" }],
    ["0a 02 6869", { 1: "6869" }],
    ["12 01 62 0a 01 61", { 1: "61", 2: "62" }],
    ["0a 01 61 0a 01 62", { 1: "62" }],
    // Lengths and numbers of more octets than needed are allowed.
    ["8a 00 81 00 61", { 1: "61" }],
    // Fields that nobody knows: a varint, a fixed64, a fixed32, and number 536870911.
    ["18 ffffffffffffffffff01 0a 01 61", { 1: "61" }],
    ["19 0102030405060708 0a 01 61", { 1: "61" }],
    ["1d 01020304 0a 01 61", { 1: "61" }],
    ["faffffff0f 01 7a", { 536870911: "7a" }],
    // A known field of another type is no such field.
    ["08 07", {}],
  ])("%s", (hex, fields) => {
    expect(decoded(hex)).toEqual(fields);
  });

  test.each([
    ["a length beyond the end", "0a 02 61"],
    ["a length near 2^64", "0a ffffffffffffffffff01 61"],
    ["a length cut off", "0a 80"],
    ["no length", "0a"],
    ["a varint of eleven octets", "08 ffffffffffffffffffff01"],
    ["a fixed64 cut off", "09 01020304050607"],
    ["a fixed32 cut off", "0d 010203"],
    ["a group", "0b 0c"],
    ["an unknown wire type", "0e 00"],
    ["field number 0", "02 01 61"],
  ])("%s is no message", (_what, hex) => {
    expect(decoded(hex)).toBeNull();
  });
});

describe("encoding", () => {
  test.each([0, 1, 127, 128, 16_383, 16_384, 3_000_000])("a field of %i bytes reads back", (length) => {
    const value = new Uint8Array(length).fill(0x61);
    const message = encodeField(1, value);
    expect(decodeFields(message)?.get(1)).toEqual(value);
  });

  test("is the shortest form", () => {
    expect(encodeField(1, bytes("6869")).toHex()).toBe("0a026869");
    expect(encodeField(16, new Uint8Array(300)).subarray(0, 4).toHex()).toBe("8201ac02");
  });
});
