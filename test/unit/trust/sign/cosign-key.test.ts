import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { Secret } from "../../../../src/secret.ts";
import { isLocked, readSigningKey, writeCosignKey } from "../../../../src/trust/sign/cosign-key.ts";

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const secret = (text: string) => new Secret(new Uint8Array(Buffer.from(text)));
const read = (pem: string, password?: string) =>
  readSigningKey(Buffer.from(pem), password === undefined ? undefined : secret(password), "cosign.key");
const pem = (json: object) =>
  `-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n${Buffer.from(JSON.stringify(json)).toString("base64")}\n-----END ENCRYPTED COSIGN PRIVATE KEY-----\n`;
const box = (params: object, kdf = "scrypt") => ({
  kdf: { name: kdf, params, salt: "AAAA" },
  cipher: { name: "nacl/secretbox", nonce: Buffer.alloc(24).toString("base64") },
  ciphertext: Buffer.alloc(40).toString("base64"),
});

test("a key opens with the password it was written with, and with no other", () => {
  const written = writeCosignKey(privateKey, secret("right"));
  expect(written).not.toContain("right");
  expect(read(written, "right").privateKey.equals(privateKey)).toBe(true);
  expect(() => read(written, "wrong")).toThrow(/password is wrong/);
  expect(() => read(written)).toThrow(/needs a password/);
  expect(read(writeCosignKey(privateKey, secret("")), "").privateKey.equals(privateKey)).toBe(true);
});

test("PKCS#8 and SEC 1 are read, public keys are not", () => {
  const plain = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  expect(read(plain).privateKey.equals(privateKey)).toBe(true);
  expect(read(privateKey.export({ format: "pem", type: "sec1" }).toString()).publicKey.algorithm).toBe("ec");
  const locked = privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "pw" });
  expect(read(locked.toString(), "pw").privateKey.equals(privateKey)).toBe(true);
  expect(() => read(locked.toString())).toThrow(/needs a password/);
  const { publicKey } = read(plain);
  expect(() => read(publicKey.key.export({ format: "pem", type: "spki" }).toString())).toThrow(
    /not a private key/,
  );
  expect(() => read("nothing")).toThrow(/no private key/);
});

test("OpenSSL's other forms are read", () => {
  const sec1 = privateKey.export({ format: "pem", type: "sec1" }).toString();
  const parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  expect(read(parameters + sec1).privateKey.equals(privateKey)).toBe(true);
  const locked = privateKey
    .export({ format: "pem", type: "sec1", cipher: "aes-256-cbc", passphrase: "pw" })
    .toString();
  expect(locked).toContain("DEK-Info");
  expect(isLocked(Buffer.from(locked))).toBe(true);
  expect(read(locked, "pw").privateKey.equals(privateKey)).toBe(true);
  expect(() => read(locked)).toThrow(/needs a password/);
  expect(() => read(locked, "wrong")).toThrow(/password is wrong/);
});

test("a key that can't be used is not said to have a wrong password", () => {
  const broken = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
  expect(() => read(broken, "pw")).toThrow(/malformed, or of an unsupported kind$/);
});

test.each([
  ["a derivation that would take all memory", box({ N: 2 ** 30, r: 8, p: 1 }), /more scrypt work/],
  ["a derivation that would take all day", box({ N: 1024, r: 8, p: 100_000 }), /more scrypt work/],
  ["one of 17 lanes", box({ N: 2, r: 1, p: 17 }), /more scrypt work/],
  ["one of 16 lanes, to whom has no password for it,", box({ N: 2, r: 1, p: 16 }), /password is wrong/],
  ["one of more than 128 MiB", box({ N: 2 ** 18, r: 8, p: 1 }), /more scrypt work/],
  ["no cost", box({}), /malformed/],
  ["another derivation", box({ N: 2, r: 1, p: 1 }, "argon2"), /unsupported way/],
  ["no box", { ...box({ N: 2, r: 1, p: 1 }), ciphertext: "AAAA" }, /malformed/],
])("%s is refused", (_what, json, why) => {
  expect(() => read(pem(json), "pw")).toThrow(why);
});
