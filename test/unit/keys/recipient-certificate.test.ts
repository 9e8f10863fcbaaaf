import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parsePublicKey, readCertificateFile } from "../../../src/keys/public-key.ts";
import { type CertificateRules, LENIENT, STRICT } from "../../../src/keys/recipient-certificate.ts";
import {
  type CertificateSpec,
  certificate,
  type ExtensionSpec,
  isCa,
  newKey,
  pemOf,
  usage,
} from "../../support/sigstore.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const DAY = 24 * 3600 * 1000;
/** Certificates of today have whole seconds (RFC 5280 §4.1.2.5). */
const NOW = Math.floor(Date.now() / 1000) * 1000;
const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 });
const EC = newKey();
/** Bits of the first octet of keyUsage (RFC 5280 §4.2.1.3). */
const KEY_ENCIPHERMENT = usage(0x20);
const KEY_AGREEMENT = usage(0x08);
const DIGITAL_SIGNATURE = usage(0x80);

interface Made extends Partial<CertificateSpec> {
  readonly publicKey?: KeyObject;
}

/** Makes a certificate that is valid today, by default for an RSA key. */
function made({ publicKey = RSA.publicKey, ...spec }: Made = {}): string {
  const der = certificate({
    subject: "node-1",
    issuer: "authority",
    key: publicKey,
    signer: EC.privateKey,
    notBefore: NOW - DAY,
    notAfter: NOW + DAY,
    extensions: [],
    ...spec,
  });
  return pemOf("CERTIFICATE", der);
}

const authority = (more: Made = {}) => made({ subject: "authority", extensions: [isCa()], ...more });
const filler = (n: number): ExtensionSpec => ({
  oid: `2b0601040101${n.toString(16).padStart(2, "0")}`,
  value: new Uint8Array([5, 0]),
});

let files = 0;

/** The error of `pkcs7:FILE` and `jwe:FILE` for a file. undefined: both accept it. */
async function refusal(text: string, rules: CertificateRules = STRICT): Promise<string | undefined> {
  const file = join(folder, `${files++}.pem`);
  writeFileSync(file, text);
  const textOf = (error: Error & { hint?: string }) =>
    `${error.message}; ${error.hint}`.replace(/^the recipient \w+:\S+ /, "");
  const asCertificate = await readCertificateFile({ scheme: "pkcs7", file }, rules).then(
    () => undefined,
    textOf,
  );
  let asKey: string | undefined;
  try {
    parsePublicKey(new Uint8Array(Buffer.from(text)), { scheme: "jwe", file }, rules);
  } catch (error) {
    asKey = textOf(error as Error);
  }
  expect(asKey).toBe(asCertificate);
  return asCertificate;
}

describe("a certificate is refused", () => {
  test.each<[string, () => string, keyof CertificateRules, RegExp]>([
    [
      "that has expired",
      () => made({ notAfter: Date.parse("2026-01-31T00:00:00Z") }),
      "allowExpired",
      /^expired on 2026-01-31; .*--allow-expired$/,
    ],
    [
      "that is not valid yet",
      () => made({ notBefore: Date.parse("2199-12-31T00:00:00Z") }),
      "allowExpired",
      /^is not valid before 2199-12-31; .*--allow-expired$/,
    ],
    [
      "with a malformed date",
      () => made({ notAfter: Date.parse("2199-12-31T00:00:00.5Z") }),
      "allowExpired",
      /^has a malformed period of validity; .*--allow-expired$/,
    ],
    ["of a CA", () => authority(), "allowCa", /^is the certificate of a CA .*--allow-ca$/],
    [
      "for signing alone, with an RSA key",
      () => made({ extensions: [DIGITAL_SIGNATURE] }),
      "allowKeyUsage",
      /lacks keyEncipherment; .*--allow-key-usage$/,
    ],
    [
      "for keyAgreement, with an RSA key",
      () => made({ extensions: [KEY_AGREEMENT] }),
      "allowKeyUsage",
      /lacks keyEncipherment; /,
    ],
    [
      "for keyEncipherment, with an EC key",
      () => made({ publicKey: EC.publicKey, extensions: [KEY_ENCIPHERMENT] }),
      "allowKeyUsage",
      /lacks keyAgreement; /,
    ],
  ])("%s, unless one option allows it", async (_what, make, rule, message) => {
    const pem = make();
    expect(await refusal(pem)).toMatch(message);
    expect(await refusal(pem, { ...STRICT, [rule]: true })).toBeUndefined();
    expect(await refusal(pem, LENIENT)).toBeUndefined();
    expect(await refusal(pem, { ...LENIENT, [rule]: false })).toMatch(message);
  });

  test.each<[string, readonly ExtensionSpec[]]>([
    ["with more extensions than the limit", [...Array(64).keys()].map(filler).concat(isCa())],
    ["that has an extension twice", [isCa(), { ...isCa(), value: new Uint8Array([0x30, 0]) }]],
    ["with an extension without a kind", [{ oid: "", value: new Uint8Array() }, isCa()]],
  ])("%s, whatever the options allow", async (_what, extensions) => {
    expect(await refusal(made({ extensions }), LENIENT)).toMatch(/^holds a malformed X\.509 certificate/);
  });

  test("that is malformed, even beside a valid one", async () => {
    const malformed = pemOf("CERTIFICATE", Buffer.of(0x30, 0));
    expect(await refusal(malformed + made(), LENIENT)).toMatch(/^holds a malformed X\.509 certificate/);
  });

  test("whose base64 is broken, even beside a valid one", async () => {
    const broken = made().replace(/\n/, "\n!");
    expect(await refusal(broken + authority(), LENIENT)).toMatch(/"CERTIFICATE" that is not valid base64/);
  });
});

/** basicConstraints with this octet as cA (X.690 §8.2.2: zero is false, and every other value is true). */
const constraints = (octet: number): ExtensionSpec => ({ ...isCa(), value: Buffer.of(0x30, 3, 1, 1, octet) });

test.each([0x01, 0x80, 0xff])("a CA may be marked with %i, as BER allows", async (octet) => {
  expect(await refusal(made({ extensions: [constraints(octet)] }))).toMatch(/^is the certificate of a CA/);
});

describe("a certificate is accepted", () => {
  test.each<[string, () => string]>([
    ["without keyUsage", () => made()],
    ["for keyEncipherment, with an RSA key", () => made({ extensions: [KEY_ENCIPHERMENT] })],
    [
      "for keyAgreement, with an EC key",
      () => made({ publicKey: EC.publicKey, extensions: [KEY_AGREEMENT] }),
    ],
    ["with as many extensions as the limit", () => made({ extensions: [...Array(64).keys()].map(filler) })],
    ["that says that it is not a CA's", () => made({ extensions: [constraints(0)] })],
    ["that is self-signed", () => made({ issuer: "node-1" })],
  ])("%s", async (_what, make) => {
    expect(await refusal(make())).toBeUndefined();
  });
});

describe("of several certificates in a file", () => {
  const intermediate = () => made({ subject: "between", extensions: [isCa()] });
  const leaf = () => made({ issuer: "between" });

  test("the end entity's is used, wherever it is in the file", async () => {
    const chain = [authority({ issuer: "authority" }), intermediate(), leaf()];
    for (const pem of [chain.join(""), chain.toReversed().join("")]) {
      expect(await refusal(pem)).toBeUndefined();
      const file = join(folder, "chain.pem");
      writeFileSync(file, pem);
      const { key } = await readCertificateFile({ scheme: "pkcs7", file });
      expect(key.equals(RSA.publicKey)).toBe(true);
    }
  });

  test("the end entity's is checked", async () => {
    const expired = made({ issuer: "between", notAfter: NOW - DAY });
    expect(await refusal(intermediate() + expired)).toMatch(/^expired/);
  });

  test("an issuer is not an end entity, even if it is not marked as a CA", async () => {
    expect(await refusal(leaf() + made({ subject: "between" }))).toBeUndefined();
  });

  test("the same one twice counts once", async () => {
    const one = leaf();
    expect(await refusal(one + one)).toBeUndefined();
  });

  test.each<[string, () => string, RegExp]>([
    [
      "of two end entities",
      () => leaf() + made({ subject: "node-2", issuer: "between" }),
      /^holds several end-entity certificates: CN=node-1; CN=node-2; give a file with the one/,
    ],
    [
      "of CAs alone",
      () => authority({ issuer: "authority" }) + intermediate(),
      /^holds several certificates, all of CAs: CN=authority; CN=between; /,
    ],
  ])("those %s are refused by name, whatever the options allow", async (_what, make, message) => {
    const pem = make();
    expect(await refusal(pem, LENIENT)).toMatch(message);
  });
});

test("64 PEM blocks of a file are looked at, and no more", async () => {
  const other = pemOf("X509 CRL", Buffer.of(0x30, 0));
  expect(await refusal(other.repeat(63) + made())).toBeUndefined();
  const recipient = { scheme: "pkcs7", file: join(folder, "long.pem") };
  const text = other.repeat(64) + made();
  writeFileSync(recipient.file, text);
  await expect(readCertificateFile(recipient)).rejects.toThrow("holds no X.509 certificate");
  expect(() => parsePublicKey(Buffer.from(text), recipient)).toThrow("has no PEM block with a public key");
});
