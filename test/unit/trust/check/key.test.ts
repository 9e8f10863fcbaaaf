import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ed25519Advice, readPublicKey, readPublicKeys, verifyWith } from "../../../../src/trust/check/key.ts";
import { bytesMessage } from "../../../../src/trust/check/message.ts";
import { newKey, pemOf, spkiOf } from "../../../support/sigstore.ts";
import { trustFile } from "./demand.ts";

const key = (pair: { readonly publicKey: import("node:crypto").KeyObject }) =>
  readPublicKey(new Uint8Array(pair.publicKey.export({ format: "der", type: "spki" })), "spki", "key");
const EC = key(generateKeyPairSync("ec", { namedCurve: "P-256" }));
const ED25519 = key(generateKeyPairSync("ed25519"));

test.each([
  [2047, false],
  [2048, true],
  [8192, true],
  [8193, false],
])("an RSA key of %i bits is allowed: %s", (bits, isAllowed) => {
  // Any odd number of that size will do.
  const modulus = Buffer.alloc(Math.ceil(bits / 8), 0xff);
  modulus[0] = 2 ** ((bits - 1) % 8);
  const jwk = { kty: "RSA", n: modulus.toString("base64url"), e: "AQAB" };
  const read = () => key({ publicKey: createPublicKey({ key: jwk, format: "jwk" }) });
  if (isAllowed) expect(read()).toMatchObject({ algorithm: "rsa" });
  else expect(read).toThrow(expect.objectContaining({ code: "BAD_KEY" }));
});

test("one Ed25519 key is enough for advice on a signature of its size", () => {
  const [signature, longer] = [new Uint8Array(64), new Uint8Array(65)];
  expect(ed25519Advice([EC, ED25519], signature)).toMatch(/Ed25519ph, .* is not supported/);
  expect(ed25519Advice([EC, ED25519], longer)).toBe("");
  expect(ed25519Advice([EC], signature)).toBe("");
});

describe("a file of public keys", () => {
  const read = (text: string) => readPublicKeys(trustFile("key.pub", text));
  const pem = (pair: { readonly publicKey: import("node:crypto").KeyObject }) =>
    pemOf("PUBLIC KEY", spkiOf(pair.publicKey));

  test.each([
    ["P-256", "sha256"],
    ["P-384", "sha384"],
    ["P-521", "sha512"],
  ])("may have a key on %s, whose own hash is %s", (curve, ownHash) => {
    const pair = newKey(curve);
    expect(read(pem(pair))).toMatchObject([{ algorithm: "ec", ownHash, spki: spkiOf(pair.publicKey) }]);
  });

  test("may have an RSA key in either form, and an Ed25519 key", () => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pkcs1 = publicKey.export({ type: "pkcs1", format: "pem" }).toString();
    const both = read(pem({ publicKey }) + pkcs1);
    expect(both).toMatchObject([
      { algorithm: "rsa", ownHash: "sha256" },
      { algorithm: "rsa", ownHash: "sha256" },
    ]);
    expect(both[0]?.fingerprint).toBe(both[1]?.fingerprint);
    expect(read(pem(generateKeyPairSync("ed25519")))).toMatchObject([
      { algorithm: "ed25519", ownHash: "sha512" },
    ]);
  });

  const privateKey = newKey().privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  test.each<[string, string, string, string?]>([
    ["", "key.pub has no public key", "a public key is PEM"],
    [privateKey, 'key.pub holds "PRIVATE KEY", which is not a public key', "name the public half of the key"],
    [
      pemOf("CERTIFICATE", Buffer.of(0)),
      'key.pub holds "CERTIFICATE", which is not a public key',
      "name a PUBLIC KEY",
    ],
    [
      "-----BEGIN PUBLIC KEY-----\n*\n-----END PUBLIC KEY-----\n",
      "key.pub has a public key that is not base64",
      "",
    ],
    [pemOf("PUBLIC KEY", Buffer.of(0)), "key.pub has a malformed public key", ""],
    [pem(newKey("secp256k1")), "key.pub has a key on the unsupported curve secp256k1", ""],
    [pem(generateKeyPairSync("ed448")), "key.pub has a key of the unsupported algorithm ed448", ""],
  ])("is refused: %#", (text, message, hint) => {
    let error: unknown;
    try {
      read(text);
    } catch (it) {
      error = it;
    }
    expect(error).toMatchObject({ code: "BAD_KEY", message });
    expect((error as { hint?: string }).hint ?? "").toContain(hint);
    if (hint === "") expect(error).not.toHaveProperty("hint", expect.any(String));
  });

  test("has no RSA key with the exponent 1", () => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const jwk = { ...publicKey.export({ format: "jwk" }), e: "AQ" };
    const weak = createPublicKey({ key: jwk, format: "jwk" });
    expect(() => read(pem({ publicKey: weak }))).toThrow("key.pub has an RSA key that protects nothing");
    const three = createPublicKey({ key: { ...jwk, e: "Aw" }, format: "jwk" });
    expect(read(pem({ publicKey: three }))).toHaveLength(1);
  });
});

describe("the hash of a signature", () => {
  const MESSAGE = Buffer.from("a message");
  const verify = async (curve: string, hash: string, format: "plain" | "bundle") => {
    const pair = newKey(curve);
    const signature = sign(hash, MESSAGE, pair.privateKey);
    return await verifyWith(key(pair), bytesMessage(MESSAGE), signature, format);
  };

  test.each<[string, string, "plain" | "bundle", boolean]>([
    ["P-256", "sha256", "plain", true],
    ["P-256", "sha256", "bundle", true],
    ["P-256", "sha384", "bundle", false],
    ["P-384", "sha256", "plain", true],
    ["P-384", "sha256", "bundle", true],
    ["P-384", "sha384", "plain", false],
    ["P-384", "sha384", "bundle", true],
    ["P-384", "sha512", "bundle", false],
    ["P-521", "sha512", "bundle", true],
  ])("by a key on %s may be %s in the format %s: %s", async (curve, hash, format, counts) => {
    expect(await verify(curve, hash, format)).toBe(counts);
  });

  test("by an Ed25519 key is its own", async () => {
    const pair = generateKeyPairSync("ed25519");
    const signature = sign(null, MESSAGE, pair.privateKey);
    const message = bytesMessage(MESSAGE);
    expect(await verifyWith(key(pair), message, signature, "plain")).toBe(true);
    expect(await verifyWith(key(pair), message, signature.subarray(1), "bundle")).toBe(false);
  });
});
