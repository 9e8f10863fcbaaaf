import { expect, test } from "vitest";
import { TAG, writeElement, writeOid } from "../../../../src/encoding/der.ts";
import { describe as describePacket } from "../../../../src/keywrap/pkcs7/describe.ts";
import { type Bytes, holder, OID, recipientInfo, SET, writeName, writePacket } from "./packets.ts";

const alice = holder({ name: "alice" });

function idFor(issuer: Bytes, serial = Uint8Array.of(2, 2, 0x01, 0xff)): string | undefined {
  const packet = writePacket({ recipients: (key) => [recipientInfo({ ...alice, issuer, serial }, key)] });
  return describePacket(packet)[0]?.id;
}

const attribute = (oid: string, tag: number, value: string | Uint8Array) =>
  writeElement(TAG.SEQUENCE, writeOid(oid), writeElement(tag, Buffer.from(value)));
const name = (...rdns: Bytes[][]) =>
  writeElement(TAG.SEQUENCE, ...rdns.map((rdn) => writeElement(SET, ...rdn)));
const CN = "550403";

test("recipients of every kind, in the packet's order", () => {
  const packet = writePacket({
    algorithm: OID.aes256Cbc,
    recipients: (key) => [
      recipientInfo(alice, key),
      recipientInfo({ ...alice, keyId: Uint8Array.of(0xab, 0xcd) }, key, { by: "keyId" }),
      recipientInfo(alice, key, { algorithm: writeElement(TAG.SEQUENCE, writeOid(OID.rsaesOaep)) }),
      recipientInfo(alice, key, { algorithm: writeElement(TAG.SEQUENCE, writeOid(OID.mgf1)) }),
      writeElement(0xa1, Uint8Array.of(0)),
      writeElement(0xa3, Uint8Array.of(0)),
    ],
  });
  const id = `issuer CN=alice serial ${Buffer.from(alice.serial.subarray(2)).toString("hex")}`;
  expect(describePacket(packet)).toEqual([
    { algorithm: "rsaEncryption", id },
    { algorithm: "rsaEncryption", id: "key id abcd" },
    { algorithm: "RSAES-OAEP-sha1", id },
    { algorithm: "1.2.840.113549.1.1.8", id },
    { algorithm: "key agreement" },
    { algorithm: "a password" },
  ]);
});

test("an issuer's name stands the most specific part first", () => {
  const parts = name(
    [attribute("550406", 0x13, "DE")],
    [attribute("55040a", 0x0c, "Beispiel")],
    [attribute("55040b", 0x0c, "a"), attribute(CN, 0x0c, "b")],
  );
  expect(idFor(parts)).toBe("issuer OU=a+CN=b,O=Beispiel,C=DE serial 01ff");
});

test("types of strings, and attributes nobody named", () => {
  const parts = name(
    [attribute(CN, 0x0c, "é")],
    [attribute(CN, 0x14, Uint8Array.of(0xe9))],
    [attribute(CN, 0x1e, Uint8Array.of(0x20, 0xac))],
    [attribute(CN, 0x1e, Uint8Array.of(0x20))],
    [attribute("2b06010401", 0x04, Uint8Array.of(1, 2))],
  );
  expect(idFor(parts)).toBe("issuer 1.3.6.1.4.1=#0102,CN=,CN=€,CN=é,CN=é serial 01ff");
});

test("what could change a terminal or the name's parts is escaped, and long values are cut", () => {
  expect(idFor(writeName('a,b="c"\\'))).toBe('issuer CN=a\\,b\\=\\"c\\"\\\\ serial 01ff');
  expect(idFor(writeName("\u001b[2J\n\u202e"))).toBe("issuer CN=\\1b[2J\\0a\\e2\\80\\ae serial 01ff");
  expect(idFor(writeName("x".repeat(10_000)))).toBe(`issuer CN=${"x".repeat(256)} serial 01ff`);
  expect(idFor(writeName("x"), writeElement(TAG.INTEGER, new Uint8Array(99).fill(1)))).toHaveLength(
    "issuer CN=x serial ".length + 64,
  );
});

test("identifiers too long to be any", () => {
  const parts = name([attribute(`2a${"01".repeat(39)}`, 0x0c, "x")], [attribute("ff", 0x0c, "y")]);
  expect(idFor(parts)).toBe("issuer an unreadable identifier=y,an unreadable identifier=x serial 01ff");
});

test.each([
  ["no name", writeElement(TAG.SEQUENCE, Uint8Array.of(1))],
  ["an attribute without a type", name([writeElement(TAG.SEQUENCE)])],
  [
    "an attribute with two values",
    name([writeElement(TAG.SEQUENCE, writeOid(CN), writeName("x"), writeName("y"))]),
  ],
  ["a tag number of several octets", name([attribute(CN, 0x1f, "x")])],
  ["a hundred parts", name(...Array<Bytes[]>(100).fill([attribute(CN, 0x0c, "x")]))],
])("malformed: %s", (_, issuer) => {
  expect(() => idFor(issuer)).toThrow(expect.objectContaining({ code: "BAD_PACKET" }));
});
