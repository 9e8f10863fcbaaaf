import {
  constants,
  createDecipheriv,
  createHash,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
} from "node:crypto";
import { expect, onTestFinished, test, vi } from "vitest";
import { TAG, writeElement, writeInteger, writeOid } from "../../../../src/encoding/der.ts";
import type { RsaKey } from "../../../../src/keys/keyset.ts";
import { unwrap } from "../../../../src/keywrap/pkcs7/unwrap.ts";
import { Secret } from "../../../../src/secret.ts";
import { type RsaPair, rsaPair } from "../../../support/rsa.ts";
import {
  holder,
  OID,
  OPTIONS,
  open,
  packetFor,
  recipientInfo,
  writeCertificate,
  writeName,
  writePacket,
} from "./packets.ts";

const modulusOf = ({ publicKey }: RsaPair) =>
  Buffer.from(publicKey.export({ format: "jwk" }).n ?? "", "base64url");
const [smallest, middle, largest] = Array.from({ length: 3 }, () => rsaPair(2048)).sort((a, b) =>
  Buffer.compare(modulusOf(a), modulusOf(b)),
);
// What is encrypted for Alice is below the others' modulus, too: no such key is left out for being too small.
const alice = holder({ name: "alice", ...smallest });
const bob = holder({ name: "bob", ...middle });
const carol = holder({ name: "carol", ...largest });
const big = holder({ name: "big", modulusLength: 3072 });

/** A key with a modulus of its own, and nothing but NULL where the private numbers should be. */
function damagedKey(modulusLength: number): RsaKey {
  const modulus = new Uint8Array(randomBytes(modulusLength / 8)).fill(0xff, 0, 2); // above any ciphertext
  const version = writeInteger(Uint8Array.of(0));
  const numbers = [writeInteger(modulus), writeInteger(Uint8Array.of(3)), writeElement(TAG.NULL)];
  const pkcs8 = writeElement(
    TAG.SEQUENCE,
    version,
    writeElement(TAG.SEQUENCE, writeOid(OID.rsaEncryption), writeElement(TAG.NULL)),
    writeElement(TAG.OCTET_STRING, writeElement(TAG.SEQUENCE, version, ...numbers)),
  );
  return { type: "rsa", modulusLength, modulus, pkcs8: new Secret(pkcs8), origin: "damaged.key" };
}

const outcomes = (attempts: readonly { outcome: string }[]) => attempts.map(({ outcome }) => outcome);

test("a certificate names the one key to use among a hundred, for one of twenty recipients", async () => {
  const others = Array.from({ length: 19 }, () => ({ ...carol, serial: writeInteger(randomBytes(8)) }));
  const packet = packetFor(...others, alice);
  const wrong = Array.from({ length: 100 }, () => damagedKey(2048));
  const keys = [...wrong.slice(50), bob.key, alice.key, ...wrong.slice(0, 50)];
  const result = await open(unwrap, packet, { keys, certificates: [bob.certificate, alice.certificate] });
  expect(result).toMatchObject({ options: OPTIONS, operations: 1, attempts: [], opened: { key: alice.key } });
  expect(result.opened?.recipient).toMatch(/^rsaEncryption issuer CN=alice serial /);
});

test("without a certificate, each key of the right length is tried until one opens", async () => {
  const keys = [big.key, bob.key, carol.key, alice.key];
  const result = await open(unwrap, packetFor(alice), { keys });
  expect(result).toMatchObject({ options: OPTIONS, operations: 3, opened: { key: alice.key } });
  expect(result.attempts.map(({ key }) => key)).toEqual([bob.key, carol.key]);
});

test("a key that comes twice is used once", async () => {
  const result = await open(unwrap, packetFor(alice), { keys: [bob.key, { ...bob.key }, { ...bob.key }] });
  expect(result).toMatchObject({ options: null, operations: 1 });
});

test("a key that its certificate ties to one recipient is not tried on the others", async () => {
  const packet = packetFor(alice, bob);
  packet[packet.length - 1] = (packet.at(-1) ?? 0) ^ 1;
  const result = await open(unwrap, packet, { keys: [bob.key], certificates: [bob.certificate] });
  expect(result).toMatchObject({ options: null, operations: 1 });
});

test("a recipient whose certificate is here without its key costs no operation", async () => {
  const result = await open(unwrap, packetFor(alice), {
    keys: [bob.key, carol.key],
    certificates: [alice.certificate],
  });
  expect(result).toMatchObject({ options: null, operations: 0 });
  expect(outcomes(result.attempts)).toEqual(["the private key to its certificate is missing"]);
});

test("no key of the recipient's size: null, without an operation", async () => {
  const result = await open(unwrap, packetFor(alice), { keys: [big.key] });
  expect(result).toMatchObject({ opened: null, operations: 0 });
  expect(outcomes(result.attempts)).toEqual(["no further RSA key of 2048 bits to try"]);
});

test("an encrypted key of another length than its certificate's costs no operation", async () => {
  const packet = writePacket({
    recipients: (key) => [recipientInfo(alice, key, { encrypted: randomBytes(255) })],
  });
  const result = await open(unwrap, packet, { keys: [alice.key], certificates: [alice.certificate] });
  expect(result).toMatchObject({ opened: null, operations: 0 });
});

test("the second certificate of one key opens too", async () => {
  const renewed = { ...alice, serial: writeInteger(randomBytes(16)) };
  const der = writeCertificate(renewed);
  const result = await open(unwrap, packetFor(bob, { ...alice, ...renewed }), {
    keys: [carol.key, alice.key],
    certificates: [alice.certificate, { der, origin: "renewed.crt" }],
  });
  expect(result).toMatchObject({ options: OPTIONS, operations: 1 });
});

test("two certificates that share issuer and serial number: the keys of both are tried", async () => {
  const twin = { ...bob, issuer: alice.issuer, serial: alice.serial };
  const certificates = [{ der: writeCertificate(twin), origin: "stale.crt" }, alice.certificate];
  const result = await open(unwrap, packetFor(alice), { keys: [bob.key, alice.key], certificates });
  expect(result).toMatchObject({ options: OPTIONS, operations: 2 });
});

test.each([
  ["issuer", { issuer: writeName("alicf"), serial: alice.serial }],
  ["serial number", { issuer: alice.issuer, serial: writeInteger(Uint8Array.of(0x7f)) }],
])(
  "another certificate that differs from the recipient only in its %s does not count",
  async (_what, names) => {
    const certificates = [
      { der: writeCertificate({ ...bob, ...names }), origin: "other.crt" },
      alice.certificate,
    ];
    const result = await open(unwrap, packetFor(alice), { keys: [bob.key, alice.key], certificates });
    expect(result).toMatchObject({ options: OPTIONS, operations: 1 });
  },
);

test("a certificate of version 1 names its key too", async () => {
  const { issuer, serial, publicKey } = alice;
  const certificates = [{ der: writeCertificate({ issuer, serial, publicKey }), origin: "v1.crt" }];
  const result = await open(unwrap, packetFor(alice), { keys: [bob.key, alice.key], certificates });
  expect(result).toMatchObject({ options: OPTIONS, operations: 1 });
});

test("a damaged key, an EC certificate and garbage beside the right ones do no harm", async () => {
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificates = [
    { der: writeCertificate({ ...alice, publicKey: ec.publicKey }), origin: "ec.crt" },
    { der: new Uint8Array([0x30, 0x03, 0x02, 0x01, 0x00]), origin: "garbage.crt" },
  ];
  const keys = [damagedKey(2048), alice.key];
  const result = await open(unwrap, packetFor(alice), { keys, certificates });
  expect(result).toMatchObject({ options: OPTIONS, operations: 1 });
  expect(outcomes(result.attempts)).toEqual(["the key is damaged"]);
});

test("a recipient by key identifier needs no certificate where the identifier is the usual one", async () => {
  const spki = alice.publicKey.export({ format: "der", type: "pkcs1" });
  const keyId = new Uint8Array(createHash("sha1").update(spki).digest());
  const packet = writePacket({
    recipients: (key) => [recipientInfo({ ...alice, keyId }, key, { by: "keyId" })],
  });
  const result = await open(unwrap, packet, { keys: [bob.key, carol.key, alice.key] });
  expect(result).toMatchObject({ options: OPTIONS, operations: 1 });
});

test("kinds of recipients that no RSA key opens are passed over", async () => {
  const packet = writePacket({
    recipients: (key) => [
      writeElement(0xa1, Uint8Array.of(0)),
      recipientInfo(alice, key, { algorithm: writeElement(TAG.SEQUENCE, writeOid(OID.mgf1)) }),
      recipientInfo(alice, key),
    ],
  });
  const result = await open(unwrap, packet, { keys: [alice.key] });
  expect(result).toMatchObject({ options: OPTIONS, operations: 1 });
  expect(result.attempts).toMatchObject([
    { recipient: "key agreement", outcome: "this way of wrapping is not supported" },
    { recipient: expect.stringMatching(/^1\.2\.840\.113549\.1\.1\.8 /) },
  ]);
});

for (const by of ["issuer", "keyId"] as const) {
  for (const [name, algorithm, oaepHash] of [
    ["OAEP's defaults", writeElement(TAG.SEQUENCE), "sha1"],
    [
      "OAEP with SHA-256 and a label",
      writeElement(
        TAG.SEQUENCE,
        writeElement(TAG.CONTEXT_0, writeElement(TAG.SEQUENCE, writeOid(OID.sha256))),
        writeElement(
          TAG.CONTEXT_1,
          writeElement(
            TAG.SEQUENCE,
            writeOid(OID.mgf1),
            writeElement(TAG.SEQUENCE, writeOid(OID.sha256), writeElement(TAG.NULL)),
          ),
        ),
        writeElement(
          0xa2,
          writeElement(
            TAG.SEQUENCE,
            writeOid(OID.pSpecified),
            writeElement(TAG.OCTET_STRING, Buffer.from("label")),
          ),
        ),
      ),
      "sha256",
    ],
  ] as const) {
    test(`${name}, recipient by ${by}`, async () => {
      const packet = writePacket({
        recipients: (key) => [
          recipientInfo(alice, key, {
            by,
            algorithm: writeElement(TAG.SEQUENCE, writeOid(OID.rsaesOaep), algorithm),
            encrypted: publicEncrypt(
              {
                key: alice.publicKey,
                padding: constants.RSA_PKCS1_OAEP_PADDING,
                oaepHash,
                ...(oaepHash === "sha256" && { oaepLabel: Buffer.from("label") }),
              },
              key,
            ),
          }),
        ],
      });
      const certificates = [bob.certificate, alice.certificate];
      const result = await open(unwrap, packet, { keys: [bob.key, alice.key], certificates });
      expect(result).toMatchObject({ options: OPTIONS, operations: 1 });
      expect(result.opened?.recipient).toMatch(`RSAES-OAEP-${oaepHash} `);
    });
  }
}

test("of a packet whose tag is wrong, the text that came out before is zeroed", async () => {
  const prototype = Object.getPrototypeOf(
    createDecipheriv("aes-128-gcm", Buffer.alloc(16), Buffer.alloc(12)),
  );
  const update = vi.spyOn(prototype, "update");
  onTestFinished(() => update.mockRestore());
  const texts = () => update.mock.results.map(({ value }) => Buffer.from(value as Uint8Array));
  const packet = packetFor(alice);
  expect(await open(unwrap, packet, { keys: [alice.key] })).toMatchObject({ options: OPTIONS });
  const forged = Uint8Array.from(packet);
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
  await open(unwrap, forged, { keys: [alice.key] }).catch(() => undefined);
  expect(texts().map((it) => it.length)).toEqual([OPTIONS.length, OPTIONS.length]);
  for (const { value } of update.mock.results)
    expect(Buffer.from(value as Uint8Array).every((it) => it === 0)).toBe(true);
});
