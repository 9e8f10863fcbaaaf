import { constants, createPrivateKey, type KeyObject, publicEncrypt, randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readBer } from "../../../../src/encoding/ber.ts";
import { TAG, writeElement, writeOid } from "../../../../src/encoding/der.ts";
import {
  decryptContentKey,
  type KeyTransport,
  readKeyTransport,
} from "../../../../src/keywrap/pkcs7/key-transport.ts";
import { rsaPair } from "../../../support/rsa.ts";
import { OID } from "./packets.ts";

const VECTORS = fileURLToPath(new URL("../../../../../shared/wycheproof/", import.meta.url));
const absent = existsSync(VECTORS) ? "" : " (skipped: ../shared/wycheproof is absent)";

const PKCS1: KeyTransport = { name: "rsaEncryption" };
const { publicKey, privateKey } = rsaPair(2048);

interface Vector {
  readonly tcId: number;
  readonly result: "valid" | "invalid" | "acceptable";
  readonly msg: string;
  readonly ct: string;
  readonly label?: string;
}

interface Group {
  readonly privateKeyPkcs8: string;
  readonly keySize: number;
  readonly sha: string;
  readonly mgfSha: string;
  readonly tests: readonly Vector[];
}

const groups = (file: string): Group[] =>
  absent ? [] : JSON.parse(readFileSync(VECTORS + file, "utf8")).testGroups;
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const importKey = ({ privateKeyPkcs8 }: Group) =>
  createPrivateKey({ key: Buffer.from(privateKeyPkcs8, "hex"), format: "der", type: "pkcs8" });

/** A random substitute differs from call to call; what was decrypted doesn't. */
function decrypted(key: KeyObject, method: KeyTransport, encrypted: Uint8Array<ArrayBuffer>, length: number) {
  const twice = [1, 2].map(() => decryptContentKey(key, method, encrypted, length));
  const [first, second] = twice.map((it) => Buffer.from(it).toString("hex"));
  expect(twice.map((it) => it.length)).toEqual([length, length]);
  return first === second ? first : null;
}

describe.skipIf(absent && process.env["CI"] !== "true")(`Wycheproof vectors${absent}`, () => {
  test("PKCS#1 v1.5: valid ones give their message, invalid ones random bytes", () => {
    const counts = { valid: 0, invalid: 0 };
    for (const group of groups("rsa_pkcs1_2048_test.json")) {
      const key = importKey(group);
      for (const { tcId, result, msg, ct } of group.tests) {
        // An empty message has nothing that two calls could differ in.
        if (msg === "") continue;
        const expected = result === "valid" ? msg : null;
        expect([tcId, decrypted(key, PKCS1, bytes(ct), msg.length / 2)]).toEqual([tcId, expected]);
        // A message of another length is no content key of this length.
        expect([tcId, decrypted(key, PKCS1, bytes(ct), msg.length / 2 + 1)]).toEqual([tcId, null]);
        counts[result === "valid" ? "valid" : "invalid"]++;
      }
    }
    expect(counts).toEqual({ valid: 41, invalid: 25 });
  });

  test.each([
    "rsa_oaep_2048_sha1_mgf1sha1_test.json",
    "rsa_oaep_2048_sha256_mgf1sha256_test.json",
    "rsa_oaep_3072_sha256_mgf1sha256_test.json",
    "rsa_oaep_4096_sha256_mgf1sha256_test.json",
    "rsa_oaep_misc_test.json",
  ])("%s", (file) => {
    let count = 0;
    for (const group of groups(file)) {
      const hash = group.sha.toLowerCase().replace("-", "");
      const ours = ["sha1", "sha256", "sha384", "sha512"].includes(hash);
      if (!ours || group.mgfSha !== group.sha || group.keySize < 2048) continue;
      const key = importKey(group);
      for (const { tcId, result, msg, ct, label = "" } of group.tests) {
        if (msg === "") continue;
        const method: KeyTransport = { name: "OAEP", oaep: { hash, label: bytes(label) } };
        const expected = result === "invalid" ? null : msg;
        expect([tcId, decrypted(key, method, bytes(ct), msg.length / 2)]).toEqual([tcId, expected]);
        count++;
      }
    }
    expect(count).toBeGreaterThan(10);
  });
});

test("a wrong key, wrong padding, wrong length and an impossible number give the same kind of answer", () => {
  const contentKey = randomBytes(16);
  const encrypt = (message: Uint8Array) =>
    new Uint8Array(publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, message));
  expect(decrypted(privateKey, PKCS1, encrypt(contentKey), 16)).toBe(contentKey.toString("hex"));

  const oaep: KeyTransport = { name: "OAEP", oaep: { hash: "sha256", label: new Uint8Array() } };
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
  const longer = new Uint8Array(publicEncrypt({ key: publicKey, ...padding }, randomBytes(17)));
  expect(decrypted(privateKey, oaep, longer, 17)).toHaveLength(34);
  expect(decrypted(privateKey, oaep, longer, 16)).toBeNull();

  const stranger = rsaPair(2048).privateKey;
  expect(decrypted(stranger, PKCS1, encrypt(contentKey), 16)).toBeNull();
  expect(decrypted(privateKey, PKCS1, encrypt(randomBytes(15)), 16)).toBeNull();
  expect(decrypted(privateKey, PKCS1, encrypt(randomBytes(32)), 16)).toBeNull();
  expect(decrypted(privateKey, PKCS1, new Uint8Array(256).fill(0xff), 16)).toBeNull();
  expect(decrypted(privateKey, PKCS1, new Uint8Array(256), 16)).toBeNull();
  expect(decrypted(privateKey, PKCS1, new Uint8Array(0), 16)).toBeNull();
});

describe("keyEncryptionAlgorithm", () => {
  const hash = (oid: string) => writeElement(TAG.SEQUENCE, writeOid(oid));
  const oaep = (...parameters: Uint8Array[]) =>
    algorithm(OID.rsaesOaep, writeElement(TAG.SEQUENCE, ...parameters));
  const algorithm = (oid: string, ...rest: Uint8Array[]) =>
    readBer(writeElement(TAG.SEQUENCE, writeOid(oid), ...rest));
  const mask = (oid: string) =>
    writeElement(TAG.CONTEXT_1, writeElement(TAG.SEQUENCE, writeOid(OID.mgf1), hash(oid)));

  test("rsaEncryption with and without NULL", () => {
    expect(readKeyTransport(algorithm(OID.rsaEncryption))).toEqual(PKCS1);
    expect(readKeyTransport(algorithm(OID.rsaEncryption, writeElement(TAG.NULL)))).toEqual(PKCS1);
  });

  test("OAEP: SHA-1 is the default of both hashes", () => {
    const sha1 = { name: "RSAES-OAEP-sha1", oaep: { hash: "sha1", label: new Uint8Array() } };
    expect(readKeyTransport(algorithm(OID.rsaesOaep))).toEqual(sha1);
    expect(readKeyTransport(oaep())).toEqual(sha1);
    expect(readKeyTransport(oaep(writeElement(TAG.CONTEXT_0, hash(OID.sha1)), mask(OID.sha1)))).toEqual(sha1);
  });

  test.each([
    ["SHA-256 for the label alone", oaep(writeElement(TAG.CONTEXT_0, hash(OID.sha256)))],
    ["SHA-256 for the mask alone", oaep(mask(OID.sha256))],
    ["MD5", oaep(writeElement(TAG.CONTEXT_0, hash("2a864886f70d0205")))],
    ["another mask function", oaep(writeElement(TAG.CONTEXT_1, algorithm(OID.sha1, hash(OID.sha1)).whole))],
    ["another label source", oaep(writeElement(0xa2, hash(OID.mgf1)))],
    ["another algorithm", algorithm(OID.mgf1)],
  ])("not supported: %s", (_, element) => {
    expect(readKeyTransport(element)).toEqual({ unsupported: expect.any(String) });
  });

  test("parameters that are none are malformed", () => {
    const surplus = algorithm(OID.rsaEncryption, writeElement(TAG.NULL), writeElement(TAG.NULL));
    expect(() => readKeyTransport(surplus)).toThrow(expect.objectContaining({ code: "BAD_PACKET" }));
    expect(() => readKeyTransport(oaep(writeElement(TAG.NULL)))).toThrow(
      expect.objectContaining({ code: "BAD_PACKET" }),
    );
  });
});
