import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { readBer } from "../../../../src/encoding/ber.ts";
import { TAG, writeElement, writeOid } from "../../../../src/encoding/der.ts";
import { unwrap } from "../../../../src/keywrap/pkcs7/unwrap.ts";
import {
  type Bytes,
  contextFor,
  gcmParameters,
  holder,
  OID,
  OPTIONS,
  open,
  type PacketParts,
  packetFor,
  recipientInfo,
  writePacket,
} from "./packets.ts";

const alice = holder({ name: "alice" });
const keys = [alice.key];

const toAlice = (parts: Partial<PacketParts> = {}) =>
  writePacket({ recipients: (key) => [recipientInfo(alice, key)], ...parts });
const opening = async (packet: Bytes) => (await open(unwrap, packet, { keys })).options;
const refused = (code = "BAD_PACKET") => expect.objectContaining({ name: "DecoderError", code });

/**
 * Every SEQUENCE and [0] without a length and with end-of-contents octets, as a streaming writer has no lengths. SETs,
 * with the recipients in them, stay as they are: issuer names are compared as they are written.
 */
function indefinite(elements: Bytes): Bytes {
  const parts: Uint8Array[] = [];
  for (let offset = 0; offset < elements.length; ) {
    const { tag, content, whole } = readBer(elements, offset);
    const streamed = tag === TAG.SEQUENCE || tag === TAG.CONTEXT_0;
    if (streamed) parts.push(Uint8Array.of(tag, 0x80), indefinite(content), Uint8Array.of(0, 0));
    else parts.push(whole);
    offset += whole.length;
  }
  return new Uint8Array(Buffer.concat(parts));
}

test.each([
  ["AES-128-GCM", { algorithm: OID.aes128Gcm, keyLength: 16 }],
  ["AES-192-GCM", { algorithm: OID.aes192Gcm, keyLength: 24 }],
  ["AES-256-GCM", { algorithm: OID.aes256Gcm, keyLength: 32 }],
  ["AES-256-GCM, the tag at the content's end", { contentType: OID.envelopedData }],
  ["a tag of 12 bytes, told", { tagLength: 12 }],
  [
    "a tag of 12 bytes, by default",
    { tagLength: 12, parameters: (nonce: Uint8Array) => gcmParameters(nonce) },
  ],
  ["authenticated attributes", { attributes: writeElement(TAG.SEQUENCE, writeOid(OID.data)) }],
  [
    "content in segments",
    {
      encode: (bytes: Bytes) =>
        writeElement(
          0xa0,
          writeElement(TAG.OCTET_STRING, bytes.subarray(0, 9)),
          writeElement(TAG.OCTET_STRING),
          writeElement(TAG.OCTET_STRING, bytes.subarray(9)),
        ),
    },
  ],
  ["no content at all", { text: new Uint8Array() }],
] satisfies [string, Partial<PacketParts>][])("opens: %s", async (_, parts: Partial<PacketParts>) => {
  expect(await opening(toAlice(parts))).toBe(parts.text ? "" : OPTIONS);
});

test("opens with indefinite lengths, and with lengths longer than needed", async () => {
  const packet = toAlice();
  expect(await opening(indefinite(packet))).toBe(OPTIONS);
  expect(packet.subarray(0, 2)).toEqual(Uint8Array.of(0x30, 0x82));
  const padded = Buffer.concat([Uint8Array.of(0x30, 0x84, 0, 0), packet.subarray(2)]);
  expect(await opening(new Uint8Array(padded))).toBe(OPTIONS);
});

function armoured(label: string, packet: Bytes): Bytes {
  const base64 = Buffer.from(packet).toString("base64").replace(/.{64}/g, "$&\n");
  return new Uint8Array(Buffer.from(`-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`));
}

test.each(["CMS", "PKCS7"])("opens with the armour of %s", async (label) => {
  expect(await opening(armoured(label, toAlice()))).toBe(OPTIONS);
});

test("changed authenticated attributes open nothing", async () => {
  const attributes = writeElement(TAG.SEQUENCE, writeOid(OID.data));
  const packet = toAlice({ attributes });
  packet[Buffer.from(packet).indexOf(attributes) + attributes.length - 1] = 9;
  expect(await opening(packet)).toBeNull();
});

test.each([
  ["3DES-CBC", OID.tripleDesCbc],
  ["DES-CBC", "2b0e030207"],
  ["RC2-CBC", "2a864886f70d0302"],
])("%s content is refused before any key is used, and the message says why", async (name, algorithm) => {
  const packet = toAlice({
    contentType: OID.envelopedData,
    algorithm,
    parameters: () => writeElement(TAG.OCTET_STRING, randomBytes(16)),
  });
  const context = {
    ...contextFor({ keys }),
    spend: () => {
      throw new Error("a key is used");
    },
  };
  const error: unknown = await unwrap(packet, context).catch((thrown: unknown) => thrown);
  expect(error).toEqual(refused());
  expect(String(error)).toMatch(new RegExp(`${name}.*outdated`));
});

test.each([
  ["nothing", new Uint8Array()],
  ["zeros", new Uint8Array(64)],
  ["text", new Uint8Array(Buffer.from("no CMS at all"))],
  ["armour around nothing", new Uint8Array(Buffer.from("-----BEGIN CMS-----\n-----END CMS-----\n"))],
  ["armour of another kind", armoured("CERTIFICATE", packetFor(alice))],
  ["armour without an end", new Uint8Array(Buffer.from("-----BEGIN CMS-----\nMAA="))],
  ["a byte after it", new Uint8Array([...packetFor(alice), 0])],
  ["another content type", toAlice({ contentType: OID.signedData })],
  ["content that isn't data", toAlice({ innerType: OID.signedData })],
  ["EnvelopedData version 1", toAlice({ contentType: OID.envelopedData, version: 1 })],
  ["EnvelopedData version 5", toAlice({ contentType: OID.envelopedData, version: 5 })],
  ["AuthEnvelopedData version 2", toAlice({ version: 2 })],
  [
    "a recipient of version 2 by issuer",
    toAlice({ recipients: (key) => [recipientInfo(alice, key, { version: 2 })] }),
  ],
  [
    "a recipient of version 0 by key identifier",
    toAlice({ recipients: (key) => [recipientInfo(alice, key, { by: "keyId", version: 0 })] }),
  ],
  ["no recipients", toAlice({ recipients: () => [] })],
  ["a recipient that is a number", toAlice({ recipients: () => [Uint8Array.of(2, 1, 0)] })],
  ["an unlisted algorithm", toAlice({ algorithm: OID.aes128Ccm })],
  [
    "AES-CBC in AuthEnvelopedData",
    toAlice({
      algorithm: OID.aes256Cbc,
      parameters: () => writeElement(TAG.OCTET_STRING, randomBytes(16)),
      text: new Uint8Array(32),
    }),
  ],
  ["no GCM parameters", toAlice({ parameters: () => new Uint8Array() })],
  [
    "GCM parameters of another type",
    toAlice({ parameters: (nonce) => writeElement(TAG.OCTET_STRING, nonce) }),
  ],
  ["a nonce of 11 bytes", toAlice({ nonceLength: 11 })],
  ["a nonce of 16 bytes", toAlice({ nonceLength: 16 })],
  ["a tag length of 8", toAlice({ tagLength: 8 })],
  [
    "a tag of another length than told",
    toAlice({ tagLength: 12, parameters: (nonce) => gcmParameters(nonce, 16) }),
  ],
  [
    "a tag of 12 bytes at the content's end",
    toAlice({ contentType: OID.envelopedData, tagLength: 12, text: new Uint8Array() }),
  ],
  [
    "nested segments",
    toAlice({ encode: (bytes) => writeElement(0xa0, writeElement(0x24, writeElement(4, bytes))) }),
  ],
  [
    "too many segments",
    toAlice({
      encode: () =>
        writeElement(
          0xa0,
          new Uint8Array(8194).map((_, i) => (i % 2 === 0 ? 4 : 0)),
        ),
    }),
  ],
  ["no content field", toAlice({ encode: () => new Uint8Array() })],
  ["more content than any layer key has", toAlice({ text: new Uint8Array(65_537) })],
  ["a length beyond the end", Uint8Array.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff)],
  ["a length of a length beyond the end", Uint8Array.of(0x30, 0xff)],
  ["a long tag number", Uint8Array.of(0x3f, 0x81, 0x01, 0x00)],
  [
    "a primitive element of indefinite length",
    toAlice({ encode: () => Uint8Array.of(0x80, 0x80, 0x04, 0x01, 0x00, 0x00, 0x00) }),
  ],
  ["a length of five bytes", new Uint8Array([0x30, 0x85, 0, 0, 0, ...packetFor(alice).subarray(2)])],
  ["an indefinite length without an end", Uint8Array.of(0x30, 0x80, 2, 1, 0)],
  ["nesting without end", new Uint8Array(3_145_728).map((_, i) => (i % 2 === 0 ? 0x30 : 0x80))],
] satisfies [string, Bytes][])("malformed: %s", async (_, packet) => {
  await expect(opening(packet)).rejects.toThrow(refused());
});

test("as many recipients as allowed open, one more is refused", async () => {
  const to = (count: number) =>
    writePacket({
      recipients: (key) => {
        const stranger = recipientInfo({ ...alice, serial: Uint8Array.of(2, 1, 99) }, key, {
          encrypted: Uint8Array.of(1),
        });
        return [...Array<Bytes>(count - 1).fill(stranger), recipientInfo(alice, key)];
      },
    });
  expect(await opening(to(4096))).toBe(OPTIONS);
  await expect(opening(to(4097))).rejects.toThrow(refused());
});

test.each([
  ["AuthEnvelopedData", packetFor(alice)],
  ["EnvelopedData", toAlice({ contentType: OID.envelopedData, algorithm: OID.aes128Gcm, keyLength: 16 })],
  ["indefinite lengths", indefinite(packetFor(alice))],
])("%s, cut short anywhere: an error", async (_, packet) => {
  for (let length = 0; length < packet.length; length++) {
    await expect(opening(packet.slice(0, length)), `${length} bytes`).rejects.toThrow(refused());
  }
});

test.each([
  ["AuthEnvelopedData", packetFor(alice)],
  ["EnvelopedData", toAlice({ contentType: OID.envelopedData, algorithm: OID.aes128Gcm, keyLength: 16 })],
  ["indefinite lengths", indefinite(packetFor(alice))],
])("%s with any byte changed: the same options, none or an error", async (_, packet) => {
  const outcomes = { same: 0, none: 0, error: 0 };
  for (let at = 0; at < packet.length; at++) {
    for (const change of [0x01, 0x80]) {
      const changed = packet.slice();
      changed[at] = (changed[at] ?? 0) ^ change;
      const result = await opening(changed).catch((error: unknown) => error);
      if (result === OPTIONS) outcomes.same++;
      else if (result === null) outcomes.none++;
      else {
        expect(result, `byte ${at}`).toEqual(refused());
        outcomes.error++;
      }
    }
  }
  // Changes to names, identifiers of what is ignored and the like open all the same; what is encrypted opens nothing.
  expect(outcomes.none).toBeGreaterThan(2 * (256 + 12 + OPTIONS.length + 16) - 2);
  expect(outcomes.error).toBeGreaterThan(50);
  expect(outcomes.same).toBeLessThan(2 * 80);
});
