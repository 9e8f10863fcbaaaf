import { generateKeyPairSync } from "node:crypto";
import { expect, onTestFinished, test, vi } from "vitest";
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
  ["one of a fraction of a lane", box({ N: 2, r: 1.5, p: 1 }), /malformed/],
  ["one of no rounds", box({ N: 2, r: 0, p: 1 }), /malformed/],
  ["one without memory", box({ N: 0, r: 1, p: 1 }), /malformed/],
  ["one of no lanes", box({ N: 2, r: 1, p: 0 }), /malformed/],
  ["a cost in text", box({ N: "2", r: 1, p: 1 }), /malformed/],
  ["another cipher", { ...box({ N: 2, r: 1, p: 1 }), cipher: { name: "aes" } }, /unsupported way/],
  ["no derivation", { ...box({ N: 2, r: 1, p: 1 }), kdf: 1 }, /unsupported way/],
  ["no salt", { ...box({}), kdf: { name: "scrypt", params: { N: 2, r: 1, p: 1 }, salt: 1 } }, /is malformed/],
  [
    "a nonce of 23 bytes",
    {
      ...box({ N: 2, r: 1, p: 1 }),
      cipher: { name: "nacl/secretbox", nonce: Buffer.alloc(23).toString("base64") },
    },
    /is malformed/,
  ],
  ["a text in place of a box", { ...box({ N: 2, r: 1, p: 1 }), ciphertext: "*" }, /is malformed/],
  [
    "a box without a tag",
    { ...box({ N: 2, r: 1, p: 1 }), ciphertext: Buffer.alloc(15).toString("base64") },
    /is malformed/,
  ],
  [
    "a box of a tag alone",
    { ...box({ N: 2, r: 1, p: 1 }), ciphertext: Buffer.alloc(16).toString("base64") },
    /can't be opened/,
  ],
  ["a list", [], /unsupported way/],
  ["no box", { ...box({ N: 2, r: 1, p: 1 }), ciphertext: "AAAA" }, /malformed/],
])("%s is refused", (_what, json, why) => {
  expect(() => read(pem(json), "pw")).toThrow(why);
});

test("a derivation may take 128 MiB", () => {
  expect(() => read(pem(box({ N: 2 ** 17, r: 8, p: 1 })), "pw")).toThrow(/password is wrong/);
});

test("a file that is not base64 of JSON is malformed", () => {
  const of = (body: string) =>
    `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n${body}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n`;
  for (const body of ["e30", "ew==", "*"])
    expect(() => read(of(body), "pw")).toThrow("the key cosign.key is malformed");
});

test("a key is written as cosign does, and nothing of it stays in memory", () => {
  const zeros = new Set<number>();
  const fill = vi.spyOn(Buffer.prototype, "fill").mockImplementation(function (this: Buffer, value) {
    if (value === 0) zeros.add(this.length);
    return Uint8Array.prototype.fill.call(this, Number(value)) as Buffer;
  });
  onTestFinished(() => fill.mockRestore());
  const written = writeCosignKey(privateKey, secret("right"));
  const derBytes = privateKey.export({ type: "pkcs8", format: "der" }).length;
  const keyBytes = 32;
  expect([zeros.has(keyBytes), zeros.has(derBytes)]).toEqual([true, true]);
  zeros.clear();
  read(written, "right");
  expect(zeros.has(keyBytes)).toBe(true);
  const [, body = ""] = /-\n([^-]+)-/.exec(written) ?? [];
  const { kdf, cipher, ciphertext } = JSON.parse(Buffer.from(body, "base64").toString());
  expect(kdf).toEqual({ name: "scrypt", params: { N: 65_536, r: 8, p: 1 }, salt: expect.any(String) });
  expect(Buffer.from(kdf.salt, "base64")).toHaveLength(32);
  expect(cipher.name).toBe("nacl/secretbox");
  expect(Buffer.from(cipher.nonce, "base64")).toHaveLength(24);
  expect(Buffer.from(ciphertext, "base64")).toHaveLength(derBytes + 16);
});

test("only an encrypted key is locked", () => {
  const locked = (text: string) => isLocked(Buffer.from(text));
  const plain = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  const pkcs8 = privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "pw" });
  expect([plain, "nothing"].map(locked)).toEqual([false, false]);
  expect([pkcs8.toString(), pem({})].map(locked)).toEqual([true, true]);
});
