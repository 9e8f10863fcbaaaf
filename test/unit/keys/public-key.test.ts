import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, test } from "vitest";
import { parsePublicKey } from "../../../src/keys/public-key.ts";
import { rsaPair } from "../../support/rsa.ts";

const RECIPIENT = { spec: "jwe:key", scheme: "jwe", file: "key" };
const EC = generateKeyPairSync("ec", { namedCurve: "P-256" });
const RSA = rsaPair(2048);
const JWK = EC.publicKey.export({ format: "jwk" });

const parse = (data: string | Uint8Array) => parsePublicKey(new Uint8Array(Buffer.from(data)), RECIPIENT);
const pem = (key: KeyObject, type: "spki" | "pkcs1" = "spki") => key.export({ format: "pem", type });
const der = (key: KeyObject, type: "spki" | "pkcs1" = "spki") => key.export({ format: "der", type });
const json = (value: unknown) => JSON.stringify(value);
const block = (label: string, body: string) => `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;

test.each<[string, string | Uint8Array, KeyObject]>([
  ["PEM", pem(EC.publicKey), EC.publicKey],
  ["PEM of PKCS#1", pem(RSA.publicKey, "pkcs1"), RSA.publicKey],
  ["DER", der(EC.publicKey), EC.publicKey],
  ["DER of PKCS#1", der(RSA.publicKey, "pkcs1"), RSA.publicKey],
  ["a JWK", json(JWK), EC.publicKey],
  ["a JWK for encryption", json({ ...JWK, use: "enc" }), EC.publicKey],
  ["a JWK set of one", json({ keys: [JWK] }), EC.publicKey],
  ["a JWK after white space", ` \n${json(JWK)}`, EC.publicKey],
])("%s is read", (_form, data, key) => {
  expect(parse(data).key.equals(key)).toBe(true);
});

test("a JWK's name and algorithm are kept where they are texts", () => {
  expect(parse(json({ ...JWK, kid: "k", alg: "ECDH-ES" }))).toMatchObject({ kid: "k", alg: "ECDH-ES" });
  const unnamed = parse(json({ ...JWK, kid: 1, alg: 2 }));
  expect([unnamed.kid, unnamed.alg]).toEqual([undefined, undefined]);
});

test("a file has at most 64 PEM blocks", () => {
  const others = (count: number) => block("SOMETHING", "AAAA").repeat(count);
  const key = pem(EC.publicKey);
  expect(() => parse(`${others(63)}${key}`)).not.toThrow();
  expect(() => parse(`${others(64)}${key}`)).toThrow(expect.objectContaining({ code: "BAD_RECIPIENT" }));
});

describe("what is refused", () => {
  const UNSUPPORTED = /is neither an RSA key nor an EC key on P-256, P-384 or P-521/;
  const spki = (type: "ed25519" | "x25519") =>
    createPublicKey(generateKeyPairSync(type as "ed25519").privateKey);
  test.each<[string, string | Uint8Array, RegExp]>([
    ["an Ed25519 key", pem(spki("ed25519")), UNSUPPORTED],
    ["an X25519 key", der(spki("x25519")), UNSUPPORTED],
    [
      "a key on another curve",
      pem(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey),
      UNSUPPORTED,
    ],
    ["a short RSA key", pem(rsaPair(1024).publicKey), /1024/],
    ["a private JWK", json(EC.privateKey.export({ format: "jwk" })), /private/],
    ["a symmetric JWK", json({ kty: "oct", k: "AAAA" }), /private/],
    ["a private key", EC.privateKey.export({ format: "pem", type: "pkcs8" }), /private/],
    ["a private key as DER", EC.privateKey.export({ format: "der", type: "pkcs8" }), /private/],
    ["a JWK that signs", json({ ...JWK, use: "sig" }), /"use" is not "enc"/],
    ["JSON of something else", json({ default: [] }), /is JSON, but not a JWK/],
    ["a JWK off its curve", json({ ...JWK, y: JWK.x }), /not a well-formed RSA or EC public key/],
    ["malformed JSON", "{", /is not well-formed JSON/],
    ["an empty JWK set", json({ keys: [] }), /with 0 keys instead of one/],
    ["a JWK set of two", json({ keys: [JWK, JWK] }), /with 2 keys instead of one/],
    ["a JWK set of a text", json({ keys: ["x"] }), /keys instead of one/],
    ["a set of sets without an end", json({ keys: [{ keys: [{ keys: [] }] }] }), /with 0 keys/],
    ["another PEM block", block("SOMETHING", "AAAA"), /no PEM block with a public key or certificate/],
    ["a PEM block that is broken", block("PUBLIC KEY", "*"), /"PUBLIC KEY" that is not valid base64/],
    ["a PEM block with other content", block("PUBLIC KEY", "AAAA"), /not a well-formed public key/],
    ["text", "hello", /neither PEM, DER nor JWK/],
    ["nothing", "", /neither PEM, DER nor JWK/],
  ])("%s", (_form, data, message) => {
    expect(() => parse(data)).toThrow(
      expect.objectContaining({ code: "BAD_RECIPIENT", message: expect.stringMatching(message) }),
    );
  });
});
