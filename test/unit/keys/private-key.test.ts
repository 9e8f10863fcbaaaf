import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, test } from "vitest";
import { decodeBase64Url } from "../../../src/encoding/base64.ts";
import { readSequence, TAG, writeElement, writeInteger, writeOid } from "../../../src/encoding/der.ts";
import type { AsymmetricKey } from "../../../src/keys/keyset.ts";
import {
  CURVE_BYTES,
  ecKey,
  isEncryptedPkcs8,
  type KeyResult,
  parsePrivateKey,
  rsaKeyFromNumbers,
} from "../../../src/keys/private-key.ts";
import { rsaPair } from "../../support/rsa.ts";
import { watchCopies } from "../../support/secrets.ts";

const LABELS = { origin: "a file" };
const CURVES = ["P-256", "P-384", "P-521"] as const;

const der = (key: KeyObject, type: "pkcs1" | "sec1" | "pkcs8") =>
  new Uint8Array(key.export({ format: "der", type }) as Buffer);
const rsa = (modulusLength: number) => rsaPair(modulusLength).privateKey;
const ec = (namedCurve: string) => generateKeyPairSync("ec", { namedCurve }).privateKey;

const RSA = rsa(2048);

function keyOf(result: KeyResult | null): AsymmetricKey {
  if (result === null || "reason" in result) throw new Error(`no key: ${result?.reason}`);
  return result;
}

/** What node:crypto makes of the PKCS#8 that a key became. */
function exported(key: AsymmetricKey) {
  return createPrivateKey({ key: Buffer.from(key.pkcs8.bytes), format: "der", type: "pkcs8" }).export({
    format: "jwk",
  });
}

describe("RSA", () => {
  test.each(["pkcs1", "pkcs8"] as const)("%s", (type) => {
    const key = keyOf(parsePrivateKey(der(RSA, type), { ...LABELS, kid: "k", alg: "RSA-OAEP" }));
    expect(key).toMatchObject({
      type: "rsa",
      modulusLength: 2048,
      origin: "a file",
      kid: "k",
      alg: "RSA-OAEP",
    });
    expect(exported(key)).toEqual(RSA.export({ format: "jwk" }));
  });

  test("the key is a copy: what it was read from may be zeroed", () => {
    const bytes = der(RSA, "pkcs8");
    const key = keyOf(parsePrivateKey(bytes, LABELS));
    bytes.fill(0);
    expect(exported(key)).toEqual(RSA.export({ format: "jwk" }));
  });

  test("sizes are counted in bits", () => {
    const numbers = (bits: number) => {
      const n = new Uint8Array(Math.ceil(bits / 8) + 1); // and a leading zero
      n[1] = 1 << ((bits - 1) % 8);
      return [n, ...Array.from({ length: 7 }, () => Uint8Array.of(1))];
    };
    for (const bits of [2048, 2049, 3072, 8192]) {
      expect(rsaKeyFromNumbers(numbers(bits), LABELS)).toMatchObject({ modulusLength: bits });
    }
    for (const bits of [1, 1024, 2047, 8193]) {
      expect(rsaKeyFromNumbers(numbers(bits), LABELS)).toEqual({
        reason: expect.stringContaining(` ${bits} bits`),
      });
    }
  });
});

describe.each(CURVES)("%s", (curve) => {
  const privateKey = ec(curve);
  const jwk = privateKey.export({ format: "jwk" });

  test.each(["sec1", "pkcs8"] as const)("%s", (type) => {
    const key = keyOf(parsePrivateKey(der(privateKey, type), LABELS));
    expect(key).toMatchObject({ type: "ec", curve, origin: "a file" });
    expect(exported(key)).toEqual(jwk);
  });

  test("without its public point", () => {
    const key = keyOf(ecKey(curve, decodeBase64Url(jwk.d ?? "") ?? new Uint8Array(), null, LABELS));
    expect(exported(key)).toEqual(jwk);
  });

  test("whatever the private number's leading zeros", () => {
    const one = Uint8Array.of(1);
    const padded = new Uint8Array(CURVE_BYTES[curve] + 3);
    padded[padded.length - 1] = 1;
    const [short, long] = [one, padded].map((scalar) => keyOf(ecKey(curve, scalar, null, LABELS)));
    expect(short?.pkcs8.bytes).toEqual(long?.pkcs8.bytes);
    const tooLong = Uint8Array.of(1, ...new Uint8Array(CURVE_BYTES[curve]));
    expect(ecKey(curve, tooLong, null, LABELS)).toEqual({ reason: expect.stringContaining("too long") });
  });
});

describe("what wraps no layer key is told apart from what is no key", () => {
  test.each([
    ["an EC key on another curve", der(ec("secp256k1"), "pkcs8"), /curve/],
    ["the same as SEC1", der(ec("secp256k1"), "sec1"), /curve/],
    ["an Ed25519 key", der(generateKeyPairSync("ed25519").privateKey, "pkcs8"), /type/],
    ["an X25519 key", der(generateKeyPairSync("x25519").privateKey, "pkcs8"), /type/],
    [
      "an RSA-PSS key",
      der(generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).privateKey, "pkcs8"),
      /type/,
    ],
    ["a small RSA key", der(rsa(1024), "pkcs8"), /1024 bits/],
    ["the same as PKCS#1", der(rsa(1024), "pkcs1"), /1024 bits/],
  ])("%s", (_what, bytes, reason) => {
    expect(parsePrivateKey(bytes, LABELS)).toEqual({ reason: expect.stringMatching(reason) });
  });

  const integer = (value: number) => writeInteger(Uint8Array.of(value));
  const octets = writeElement(TAG.OCTET_STRING, Uint8Array.of(1));
  const sequence = (...parts: Uint8Array[]) => writeElement(TAG.SEQUENCE, ...parts);
  const spki = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({
    format: "der",
    type: "spki",
  });
  test.each([
    ["nothing", new Uint8Array()],
    ["a public key", new Uint8Array(spki)],
    ["an empty sequence", sequence()],
    ["a number", sequence(integer(0))],
    ["eight numbers", sequence(...Array.from({ length: 8 }, () => integer(1)))],
    ["PKCS#8 without a key", sequence(integer(0), sequence(writeOid("2a864886f70d010101")))],
    ["PKCS#8 without an algorithm", sequence(integer(0), sequence(), octets)],
    [
      "PKCS#8 of RSA with something else inside",
      sequence(integer(0), sequence(writeOid("2a864886f70d010101")), octets),
    ],
    [
      "PKCS#8 of EC with something else inside",
      sequence(integer(0), sequence(writeOid("2a8648ce3d0201")), octets),
    ],
    ["SEC1 of another version", sequence(integer(2), octets)],
    ["a key that is cut", der(RSA, "pkcs8").slice(0, -1)],
    ["a key with bytes after it", new Uint8Array([...der(RSA, "pkcs8"), 0])],
  ])("%s is no key", (_what, bytes) => expect(parsePrivateKey(bytes, LABELS)).toBeNull());

  test("SEC1 without a curve", () => {
    expect(parsePrivateKey(sequence(integer(1), octets), LABELS)).toEqual({
      reason: expect.stringContaining("curve"),
    });
  });

  test("RSA with a number that is none", () => {
    const fields = readSequence(der(RSA, "pkcs1")) ?? [];
    const broken = fields.map((field, i) => (i === 8 ? octets : field.whole));
    expect(parsePrivateKey(sequence(...broken), LABELS)).toBeNull();
  });
});

describe("an encrypted key is known by its structure", () => {
  const algorithm = writeElement(TAG.SEQUENCE, writeOid("2a864886f70d01050d"));
  const data = writeElement(TAG.OCTET_STRING, Uint8Array.of(1));
  const NULL = writeElement(TAG.NULL);
  test.each<[string, boolean, readonly Uint8Array[]]>([
    ["algorithm and data", true, [algorithm, data]],
    ["more behind them", false, [algorithm, data, NULL]],
    ["the algorithm alone", false, [algorithm]],
    ["data of another type", false, [algorithm, NULL]],
    ["an algorithm of another type", false, [writeElement(TAG.CONTEXT_0, writeOid("2a03")), data]],
  ])("%s: %s", (_what, isOne, fields) => {
    expect(isEncryptedPkcs8(writeElement(TAG.SEQUENCE, ...fields))).toBe(isOne);
  });
});

test("what node:crypto encrypts is an encrypted key", () => {
  const cipher = { cipher: "aes-256-cbc", passphrase: "x", format: "der", type: "pkcs8" } as const;
  expect(isEncryptedPkcs8(new Uint8Array(ec("P-256").export(cipher)))).toBe(true);
  expect(isEncryptedPkcs8(der(RSA, "pkcs8"))).toBe(false);
  expect(isEncryptedPkcs8(new Uint8Array())).toBe(false);
  expect(
    isEncryptedPkcs8(writeElement(TAG.SEQUENCE, writeElement(TAG.SEQUENCE), writeElement(TAG.OCTET_STRING))),
  ).toBe(false);
});

describe("no copy of the private number is left but the key's own", () => {
  const jwk = RSA.export({ format: "jwk" });
  const rsaNumbers = () =>
    [jwk.n, jwk.e, jwk.d, jwk.p, jwk.q, jwk.dp, jwk.dq, jwk.qi].map(
      (number) => decodeBase64Url(number ?? "") ?? new Uint8Array(),
    );

  test("RSA", () => {
    const secret = Buffer.from(jwk.d ?? "", "base64url");
    const copies = watchCopies();
    const numbers = rsaNumbers();
    const key = keyOf(rsaKeyFromNumbers(numbers, LABELS));
    for (const number of numbers) number.fill(0);
    expect(copies.holding(secret)).toEqual([key.pkcs8.bytes]);
    expect(exported(key)).toEqual(jwk);
  });

  test.each(CURVES)("%s", (curve) => {
    const scalar = decodeBase64Url(ec(curve).export({ format: "jwk" }).d ?? "") ?? new Uint8Array();
    const secret = Buffer.from(scalar);
    const copies = watchCopies();
    const key = keyOf(ecKey(curve, scalar, null, LABELS));
    scalar.fill(0);
    expect(copies.holding(secret)).toEqual([key.pkcs8.bytes]);
  });

  test("PKCS#1, whose own bytes are left alone", () => {
    const secret = Buffer.from(jwk.d ?? "", "base64url");
    const pkcs1 = der(RSA, "pkcs1");
    const copies = watchCopies();
    const key = keyOf(parsePrivateKey(pkcs1, LABELS));
    expect(pkcs1).toEqual(der(RSA, "pkcs1"));
    pkcs1.fill(0);
    expect(copies.holding(secret)).toEqual([key.pkcs8.bytes]);
  });
});
