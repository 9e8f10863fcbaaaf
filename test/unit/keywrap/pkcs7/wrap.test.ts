import { constants, createPrivateKey, generateKeyPairSync, privateDecrypt } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describe as describePacket } from "../../../../src/keywrap/pkcs7/describe.ts";
import { unwrap } from "../../../../src/keywrap/pkcs7/unwrap.ts";
import { prepare } from "../../../../src/keywrap/pkcs7/wrap.ts";
import { rsaPair } from "../../../support/rsa.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { type Bytes, holder, OPTIONS, open, writeCertificate } from "./packets.ts";

const folder = temporaryFolder();
const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
const alice = holder({ name: "alice" });
const privateKey = createPrivateKey({
  key: Buffer.from(alice.key.pkcs8.bytes),
  format: "der",
  type: "pkcs8",
});
const bob = holder({ name: "bob", modulusLength: 4096 });

const pem = (der: Uint8Array, label = "CERTIFICATE") =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString("base64")}\n-----END ${label}-----\n`;

let files = 0;
function file(content: string | Uint8Array): string {
  const path = join(folder, `${files++}.file`);
  writeFileSync(path, content);
  return path;
}

async function wrapFor(...recipients: string[]): Promise<Bytes> {
  const [wrapper, ...others] = await prepare(recipients, SETTINGS);
  expect(others).toEqual([]);
  expect(wrapper?.annotation).toBe("pkcs7");
  return new Uint8Array((await wrapper?.wrap(Buffer.from(OPTIONS))) ?? []);
}

test("one packet for all, which each of them opens", async () => {
  const packet = await wrapFor(file(alice.certificate.der), file(pem(bob.certificate.der)));
  expect(describePacket(packet)).toHaveLength(2);
  for (const { key, certificate } of [alice, bob]) {
    const result = await open(unwrap, packet, { keys: [key], certificates: [certificate] });
    expect(result).toMatchObject({ options: OPTIONS, operations: 1 });
  }
});

test("two keys whose certificates have one issuer and serial number both open it", async () => {
  const other = rsaPair(2048);
  const twin = {
    key: holder(other).key,
    certificate: { der: writeCertificate({ ...alice, publicKey: other.publicKey }), origin: "twin.crt" },
  };
  const files = [alice, twin].map(({ certificate }) => file(certificate.der));
  const packet = await wrapFor(...files, file(alice.certificate.der));
  expect(describePacket(packet)).toHaveLength(2);
  for (const { key, certificate } of [alice, twin]) {
    const result = await open(unwrap, packet, { keys: [key], certificates: [certificate] });
    expect(result).toMatchObject({ options: OPTIONS });
  }
});

test("a certificate may follow its key", async () => {
  const key = pem(alice.key.pkcs8.bytes, "PRIVATE KEY");
  const packet = await wrapFor(file(key + pem(alice.certificate.der)));
  expect(describePacket(packet)).toMatchObject([{ id: expect.stringContaining("CN=alice") }]);
});

test("two packets share neither key nor nonce", async () => {
  const certificate = file(alice.certificate.der);
  const drawn = async () => {
    const packet = Buffer.from(await wrapFor(certificate));
    const encryptedKey = packet.subarray(packet.indexOf(Buffer.from("04820100", "hex")) + 4).subarray(0, 256);
    const block = privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, encryptedKey);
    const nonce = packet.subarray(packet.indexOf(Buffer.from("3011840c", "hex")) + 4).subarray(0, 12);
    return [block.subarray(-16).toString("hex"), nonce.toString("hex")];
  };
  const [[key, nonce], [otherKey, otherNonce]] = [await drawn(), await drawn()];
  expect(key).not.toBe(otherKey);
  expect(nonce).not.toBe(otherNonce);
});

test("the peers' own form, byte by byte but for what is random", async () => {
  const packet = Buffer.from(await wrapFor(file(alice.certificate.der))).toString("hex");
  const hex = (it: Uint8Array) => Buffer.from(it).toString("hex");
  const content = OPTIONS.length + 16;
  expect(packet).toMatch(
    new RegExp(
      [
        "^3082....06092a864886f70d010703a082....3082....0201003182....3082....020100",
        `30..${hex(alice.issuer)}${hex(alice.serial)}`,
        "300b06092a864886f70d01010104820100(..){256}",
        "30(..|81..)06092a864886f70d010701302006096086480165030401061013",
        "3011840c(..){12}020110",
        `a0..04${content.toString(16)}(..){${content}}$`,
      ].join(""),
    ),
  );
});

const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const small = rsaPair(1024);
const certificateOf = (pair: { publicKey: typeof ec.publicKey }) =>
  writeCertificate({ ...alice, publicKey: pair.publicKey });

test.each([
  ["a missing file", join(folder, "missing.crt"), /no such file/],
  ["a folder", folder, /directory/],
  ["an empty file", file(""), /is empty/],
  ["text", file("hello"), /no X\.509 certificate/],
  ["a public key", file(alice.publicKey.export({ format: "pem", type: "spki" })), /no X\.509 certificate/],
  ["a certificate cut short", file(alice.certificate.der.slice(0, -1)), /no X\.509 certificate/],
  ["an EC certificate", file(certificateOf(ec)), /other than RSA/],
  ["an RSA key of 1024 bits", file(certificateOf(small)), /1024 bits/],
])("refused as a recipient: %s", async (_, path, message) => {
  const preparing = prepare([file(alice.certificate.der), path], SETTINGS);
  await expect(preparing).rejects.toThrow(
    expect.objectContaining({ code: "BAD_RECIPIENT", message: expect.stringMatching(message) }),
  );
  await expect(preparing).rejects.toThrow(`pkcs7:${path}`);
});
