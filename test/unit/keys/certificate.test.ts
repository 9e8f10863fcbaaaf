import { createHash, generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { TAG, writeElement, writeInteger } from "../../../src/encoding/der.ts";
import { readCertificate, rsaNumbersOf, subjectOf, usualKeyId } from "../../../src/keys/certificate.ts";
import { derPlaces, EDITS } from "../../support/der-edits.ts";
import { certificate, type ExtensionSpec, isCa, newKey, usage } from "../../support/sigstore.ts";

const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 });
const EC = newKey();
const [UTC, GENERALIZED, BOOLEAN] = [0x17, 0x18, 0x01];
const START = Date.parse("2026-01-02T03:04:05Z");

const made = (extensions: readonly ExtensionSpec[] = [], key = RSA.publicKey) =>
  certificate({
    ...{ subject: "node-1", issuer: "authority", key, signer: EC.privateKey, extensions },
    ...{ notBefore: START, notAfter: START + 1000 },
  });
const KEY_ID = (bytes: Uint8Array): ExtensionSpec => ({
  oid: "551d0e",
  value: writeElement(TAG.OCTET_STRING, bytes),
});

test("a certificate says whom it is for, and how its key may be used", () => {
  const der = made([isCa(), usage(0x20), KEY_ID(Uint8Array.of(1, 2, 3))]);
  const fields = readCertificate(der);
  expect(fields).toMatchObject({
    ...{ notBefore: new Date(START), notAfter: new Date(START + 1000) },
    ...{ keyId: Uint8Array.of(1, 2, 3), keyUsage: 0x20, isCa: true },
    publicKey: new Uint8Array(RSA.publicKey.export({ type: "spki", format: "der" })),
  });
  expect(subjectOf(der)).toBe("CN=node-1");
  expect(subjectOf(der.slice(1))).toBe("a malformed name");
  const { n, e } = RSA.publicKey.export({ format: "jwk" });
  const hexOf = (base64Url: string | undefined) => Buffer.from(base64Url ?? "", "base64url").toString("hex");
  expect(fields?.rsa?.modulus.content.toHex()).toBe(`00${hexOf(n)}`);
  expect(fields?.rsa?.exponent.content.toHex()).toBe(hexOf(e));
});

test("a certificate without extensions allows everything, and one of another key has no RSA numbers", () => {
  expect(readCertificate(made())).toMatchObject({ keyId: null, keyUsage: null, isCa: false });
  expect(readCertificate(made([], EC.publicKey))).toMatchObject({ rsa: null });
});

test.each<[string, readonly ExtensionSpec[], object]>([
  ["constraints of an end entity", [{ oid: "551d13", value: writeElement(TAG.SEQUENCE) }], { isCa: false }],
  [
    "constraints that are false",
    [{ oid: "551d13", value: writeElement(TAG.SEQUENCE, writeElement(BOOLEAN, Uint8Array.of(0))) }],
    { isCa: false },
  ],
  [
    "constraints that are true in BER",
    [{ oid: "551d13", value: writeElement(TAG.SEQUENCE, writeElement(BOOLEAN, Uint8Array.of(1))) }],
    { isCa: true },
  ],
  [
    "constraints with a length alone",
    [{ oid: "551d13", value: writeElement(TAG.SEQUENCE, writeInteger(Uint8Array.of(1))) }],
    { isCa: false },
  ],
  ["malformed constraints", [{ oid: "551d13", value: Uint8Array.of(5, 0) }], { isCa: false }],
  ["a malformed usage", [{ oid: "551d0f", value: Uint8Array.of(5, 0) }], { keyUsage: 0 }],
  ["no usage", [{ oid: "551d0f", value: writeElement(TAG.BIT_STRING, Uint8Array.of(0)) }], { keyUsage: 0 }],
  ["a malformed key ID", [{ oid: "551d0e", value: Uint8Array.of(5, 0) }], { keyId: null }],
])("a certificate may have %s", (_what, extensions, expected) => {
  expect(readCertificate(made(extensions))).toMatchObject(expected);
});

// 0 is the signed part, with the times in 0.4, the key in 0.6 and the extensions in 0.7.
test("a certificate of another structure is malformed, or lacks what was changed", () => {
  const der = made([isCa(), KEY_ID(Uint8Array.of(1))]);
  const whole = readCertificate(der);
  const found: Record<string, string> = {};
  for (const place of derPlaces(der))
    for (const [name, edit] of Object.entries(EDITS)) {
      const fields = readCertificate(place.with(...edit(place.element)));
      const lacks =
        fields === null
          ? "everything"
          : [
              fields.notBefore?.getTime() === START ? "" : "notBefore",
              fields.notAfter?.getTime() === START + 1000 ? "" : "notAfter",
              fields.rsa === null ? "rsa" : "",
              fields.isCa ? "" : "isCa",
              fields.keyId === null ? "keyId" : "",
            ]
              .filter((it) => it !== "")
              .join(" ");
      if (lacks === "") continue;
      const key = `${name}: ${lacks}`;
      found[key] = found[key] === undefined ? place.path : `${found[key]} ${place.path}`;
    }
  expect(whole).not.toBeNull();
  expect(found).toEqual({
    "doubled: everything": "0.0 0.7.0 0.7.0.0 0.7.0.1",
    "doubled: notAfter": "0.4.0",
    "doubled: notBefore notAfter rsa": "0.1 0.2 0.3",
    "doubled: rsa": "0.4 0.5 0.6.0",
    "emptied: everything": "0 0.7 0.7.0.0 0.7.0.0.0 0.7.0.1 0.7.0.1.0",
    "emptied: isCa": "0.7.0.0.2",
    "emptied: isCa keyId": "0.7.0",
    "emptied: keyId": "0.7.0.1.1",
    "emptied: notAfter": "0.4.1",
    "emptied: notBefore": "0.4.0",
    "emptied: notBefore notAfter": "0.4",
    "emptied: rsa": "0.6 0.6.0 0.6.0.0 0.6.1",
    "removed: everything": "0 0.1 0.2 0.3 0.4 0.5 0.6 0.7.0 0.7.0.0.0 0.7.0.0.2 0.7.0.1.0 0.7.0.1.1",
    "removed: isCa": "0.7.0.0",
    "removed: isCa keyId": "0.7",
    "removed: keyId": "0.7.0.1",
    "removed: notAfter": "0.4.1",
    "removed: notBefore notAfter": "0.4.0",
    "removed: rsa": "0.6.0 0.6.0.0 0.6.1",
    "retagged: everything": "0 0.0 0.1 0.3 0.4 0.5 0.6 0.7.0 0.7.0.0.0 0.7.0.0.2 0.7.0.1.0 0.7.0.1.1",
    "retagged: isCa keyId": "0.7",
    "retagged: notAfter": "0.4.1",
    "retagged: notBefore": "0.4.0",
    "retagged: rsa": "0.6.0.0 0.6.1",
  });
});

describe("a time", () => {
  /** The beginning of a certificate's validity, with this element in its place. */
  const timeOf = (tag: number, text: string) => {
    const place = derPlaces(made()).find(({ path }) => path === "0.4.0");
    const der = place?.with(writeElement(tag, Buffer.from(text)));
    return der && readCertificate(der)?.notBefore;
  };

  test.each<[number, string, string]>([
    [UTC, "490102030405Z", "2049-01-02T03:04:05Z"],
    [UTC, "500102030405Z", "1950-01-02T03:04:05Z"],
    [GENERALIZED, "20260102030405Z", "2026-01-02T03:04:05Z"],
    [GENERALIZED, "19490102030405Z", "1949-01-02T03:04:05Z"],
  ])("with the tag %i is read: %s", (tag, text, iso) => {
    expect(timeOf(tag, text)).toEqual(new Date(iso));
  });

  test.each<[number, string]>([
    [UTC, "20260102030405Z"],
    [UTC, "2601020304Z"],
    [UTC, "260102030405Zx"],
    [GENERALIZED, "x20260102030405Z"],
    [GENERALIZED, "260102030405Z"],
    [GENERALIZED, "20260102030405"],
    [GENERALIZED, "20261302030405Z"],
    [0x0c, "20260102030405Z"],
    [0x0c, "260102030405Z"],
  ])("with the tag %i is none: %s", (tag, text) => {
    expect(timeOf(tag, text)).toBeNull();
  });
});

test("a private RSA key has the numbers of its public one", () => {
  const pkcs8 = (pair: { privateKey: typeof RSA.privateKey }) =>
    new Uint8Array(pair.privateKey.export({ type: "pkcs8", format: "der" }));
  const numbers = rsaNumbersOf(pkcs8(RSA));
  const fields = readCertificate(made());
  expect(numbers?.modulus.content).toEqual(fields?.rsa?.modulus.content);
  expect(numbers?.exponent.content).toEqual(fields?.rsa?.exponent.content);
  expect(rsaNumbersOf(pkcs8(EC))).toBeNull();
  expect(rsaNumbersOf(pkcs8(RSA).slice(1))).toBeNull();
  if (numbers === null) throw new Error("bug: it is an RSA key");
  const pkcs1 = RSA.publicKey.export({ type: "pkcs1", format: "der" });
  expect(Buffer.from(usualKeyId(numbers))).toEqual(createHash("sha1").update(pkcs1).digest());
});
