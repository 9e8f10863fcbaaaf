import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  readChildren,
  readElement,
  readOid,
  readOnly,
  readSequence,
  readSmallInteger,
  TAG,
  writeElement,
  writeInteger,
  writeOid,
} from "../../../src/encoding/der.ts";

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
const hex = (octets: Uint8Array | undefined) => octets && Buffer.from(octets).toString("hex");
const integer = (content: string) =>
  readElement(bytes(`02${(content.length / 2).toString(16).padStart(2, "0")}${content}`)) ?? undefined;

describe("one element", () => {
  test.each([
    ["0400", 4, ""],
    ["0403010203", 4, "010203"],
    [`04 81 80${"aa".repeat(128)}`, 4, "aa".repeat(128)],
    [`04 82 0100${"bb".repeat(256)}`, 4, "bb".repeat(256)],
    ["30 03 02 01 05 ffff", 0x30, "020105"],
  ])("%s", (encoded, tag, content) => {
    const element = readElement(bytes(encoded));
    expect([element?.tag, hex(element?.content)]).toEqual([tag, content]);
  });

  test("at an offset, with its header", () => {
    const element = readElement(bytes("ffff 0201 07 00"), 2);
    expect([hex(element?.content), hex(element?.whole)]).toEqual(["07", "020107"]);
  });

  test.each([
    ["nothing", ""],
    ["a tag alone", "04"],
    ["cut content", "040301 02"],
    ["a cut length", "0482 01"],
    ["an indefinite length", "3080 0000"],
    ["a length of five octets", "04 85 0000000001 aa"],
    ["a long length for a short one", `04 81 7f${"aa".repeat(127)}`],
    ["a length with a leading zero", `04 82 0080${"aa".repeat(128)}`],
    ["a length of nearly 4 GiB", "04 84 ffffffff aa"],
  ])("%s is none", (_what, encoded) => expect(readElement(bytes(encoded))).toBeNull());

  test("readOnly wants that tag and nothing after it", () => {
    expect(hex(readOnly(bytes("0401aa"), TAG.OCTET_STRING)?.content)).toBe("aa");
    expect(readOnly(bytes("0401aa"), TAG.INTEGER)).toBeNull();
    expect(readOnly(bytes("0401aa00"), TAG.OCTET_STRING)).toBeNull();
  });
});

describe("sequences", () => {
  test("their children in order", () => {
    expect(readSequence(bytes("30 06 0201 01 0201 02"))?.map((child) => hex(child.content))).toEqual([
      "01",
      "02",
    ]);
    expect(readSequence(bytes("3000"))).toEqual([]);
  });

  test.each([
    ["no sequence", "0400"],
    ["bytes after it", "3000 00"],
    ["a malformed child", "30 03 0205 01"],
    ["a child that is cut", "30 04 0201 01 02"],
  ])("%s", (_what, encoded) => expect(readSequence(bytes(encoded))).toBeNull());

  test("not more children than asked for", () => {
    expect(readChildren(bytes("0500 0500 0500"), 3)).toHaveLength(3);
    expect(readChildren(bytes("0500 0500 0500"), 2)).toBeNull();
    expect(readSequence(bytes(`3022${"0500".repeat(17)}`))).toBeNull();
  });
});

describe("integers and OIDs", () => {
  test.each([
    ["00", 0],
    ["7f", 127],
    ["0080", 128],
    ["00ffffffff", 0xffffffff],
  ])("%s", (content, value) => expect(readSmallInteger(integer(content))).toBe(value));

  test.each(["", "80", "ff00", "01ffffffffff"])("%s is no small integer", (content) =>
    expect(readSmallInteger(integer(content))).toBeNull(),
  );

  test("what is something else", () => {
    expect(readSmallInteger(undefined)).toBeNull();
    expect(readSmallInteger(readElement(bytes("040101")) ?? undefined)).toBeNull();
    expect(readOid(readElement(bytes("040101")) ?? undefined)).toBeNull();
    expect(readOid(undefined)).toBeNull();
  });

  test("an OID is named by its octets", () => {
    expect(readOid(readElement(writeOid("2a8648ce3d0201")) ?? undefined)).toBe("2a8648ce3d0201");
  });

  test.each([
    ["", "020100"],
    ["00", "020100"],
    ["0000", "020100"],
    ["7f", "02017f"],
    ["80", "02020080"],
    ["000080", "02020080"],
    ["0100", "02020100"],
  ])("the number %s is written %s", (magnitude, encoded) =>
    expect(hex(writeInteger(bytes(magnitude)))).toBe(encoded),
  );
});

test("what is written reads back, whatever its length", () => {
  for (const length of [0, 1, 127, 128, 255, 256, 65535, 65536]) {
    const written = writeElement(TAG.SEQUENCE, new Uint8Array(length).fill(5), Uint8Array.of(7));
    expect(readOnly(written, TAG.SEQUENCE)?.content.length).toBe(length + 1);
    expect(written.at(-1)).toBe(7);
  }
});

test("no bytes make it throw, and what it reads lies inside", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(70), (junk, offset) => {
      const element = readElement(junk as Uint8Array<ArrayBuffer>, offset);
      if (element === null) return;
      expect(element.whole.byteOffset).toBe(offset);
      expect(element.whole.byteOffset + element.whole.length).toBeLessThanOrEqual(junk.length);
      expect(hex(element.whole)?.endsWith(hex(element.content) ?? "")).toBe(true);
      readSequence(junk as Uint8Array<ArrayBuffer>);
    }),
  );
});
