import { expect, test } from "vitest";
import { readBer } from "../../../../src/encoding/ber.ts";
import { TAG, writeElement, writeOid } from "../../../../src/encoding/der.ts";
import { dotted, nameText } from "../../../../src/keywrap/pkcs7/name.ts";

const SET = 0x31;
const UTF8_STRING = 0x0c;

/** A name whose parts are common names. */
function named(...texts: readonly string[]): string {
  const parts = texts.map((text) => {
    const value = writeElement(UTF8_STRING, Buffer.from(text));
    return writeElement(SET, writeElement(TAG.SEQUENCE, writeOid("550403"), value));
  });
  return nameText(readBer(writeElement(TAG.SEQUENCE, ...parts)));
}

test("a name has at most 64 parts, the last one first", () => {
  const texts = Array.from({ length: 64 }, (_, i) => String(i));
  expect(named(...texts)).toBe(
    texts
      .map((text) => `CN=${text}`)
      .reverse()
      .join(","),
  );
  expect(() => named(...texts, "64")).toThrow(expect.objectContaining({ code: "BAD_PACKET" }));
});

test("a value is cut after 256 bytes", () => {
  expect(named("x".repeat(256))).toBe(`CN=${"x".repeat(256)}`);
  expect(named(`${"x".repeat(256)}y`)).toBe(`CN=${"x".repeat(256)}`);
});

test("an identifier has at most 32 octets", () => {
  expect(dotted(`2a${"01".repeat(31)}`)).toBe(`1.2${".1".repeat(31)}`);
  expect(dotted(`2a${"01".repeat(32)}`)).toBe("an unreadable identifier");
});
