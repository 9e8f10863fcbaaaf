import {
  createCipheriv,
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  pbkdf2Sync,
  scryptSync,
} from "node:crypto";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { PieceBudget } from "../../../src/budget.ts";
import { TAG, writeElement, writeInteger, writeOid } from "../../../src/encoding/der.ts";
import { type PemBlock, parsePem } from "../../../src/encoding/pem.ts";
import * as encryptedKey from "../../../src/keys/encrypted-key.ts";
import { Secret } from "../../../src/secret.ts";
import { derPlaces, EDITS } from "../../support/der-edits.ts";
import { describeWith, openssl, output } from "../../support/peers.ts";
import { watchCopies } from "../../support/secrets.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const EC = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const PLAIN = {
  pkcs8: EC.export({ format: "der", type: "pkcs8" }),
  sec1: EC.export({ format: "der", type: "sec1" }),
};
const PASSWORD = "pässword with spaces";

const secret = (text: string) => new Secret(new TextEncoder().encode(text));
const right = () => [secret(PASSWORD)];
type Bytes = Uint8Array<ArrayBuffer>;
const plenty = () => new PieceBudget({ cpuMs: 10_000 });
const decryptPkcs8 = (der: Bytes, passwords: readonly Secret[], budget = plenty()) =>
  encryptedKey.decryptPkcs8(der, { passwords, budget });
const decryptTraditional = (block: PemBlock, passwords: readonly Secret[], budget = plenty()) =>
  encryptedKey.decryptTraditional(block, { passwords, budget });
const blockOf = (pem: string): PemBlock => {
  const [block] = parsePem(pem, 1);
  if (!block) throw new Error("no PEM block");
  return block;
};
const reason = (text: RegExp) => expect.objectContaining({ reason: expect.stringMatching(text) });

describeWith([openssl], "PBES2 keys of openssl", {}, () => {
  const key = join(folder, "key.pem");
  beforeAll(async () => {
    await output(openssl, ["pkey", "-out", key], {
      input: Buffer.from(EC.export({ format: "pem", type: "pkcs8" })),
    });
  });

  async function encrypt(...args: string[]): Promise<Uint8Array<ArrayBuffer>> {
    const common = ["pkcs8", "-topk8", "-in", key, "-outform", "DER", "-passout", `pass:${PASSWORD}`];
    return new Uint8Array(await output(openssl, [...common, ...args]));
  }

  const ciphers = ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "des3"];
  const prfs = ["hmacWithSHA1", "hmacWithSHA224", "hmacWithSHA256", "hmacWithSHA384", "hmacWithSHA512"];
  test.each([
    ...ciphers.map((cipher) => ["-v2", cipher]),
    ...prfs.map((prf) => ["-v2", "aes-256-cbc", "-v2prf", prf]),
    ["-v2", "aes-256-cbc", "-iter", "100000"],
    ["-scrypt"],
    ["-scrypt", "-scrypt_N", "1024", "-scrypt_r", "4", "-scrypt_p", "2"],
  ])("%s %s %s %s", async (...args) => {
    const der = await encrypt(...args.filter((arg) => arg !== undefined));
    expect(Buffer.from((await decryptPkcs8(der, right())) as Uint8Array)).toEqual(PLAIN.pkcs8);
    expect(await decryptPkcs8(der, [secret("wrong")])).toEqual(reason(/none of the given passwords/));
  });

  test("the first password that fits is taken", async () => {
    const der = await encrypt("-v2", "aes-256-cbc");
    const passwords = [secret(""), secret("wrong"), ...right(), secret("other")];
    expect(Buffer.from((await decryptPkcs8(der, passwords)) as Uint8Array)).toEqual(PLAIN.pkcs8);
    expect(await decryptPkcs8(der, [])).toEqual(reason(/without a password/));
  });

  test.each([["PBE-SHA1-3DES"], ["PBE-SHA1-RC4-128"]])("PBES1 (%s) is outdated", async (algorithm) => {
    const der = await encrypt("-v1", algorithm, "-provider", "default", "-provider", "legacy");
    expect(await decryptPkcs8(der, right())).toEqual(reason(/outdated/));
  });

  test.each([["camellia-256-cbc"], ["aria-128-cbc"]])("%s is not supported", async (cipher) => {
    expect(await decryptPkcs8(await encrypt("-v2", cipher), right())).toEqual(reason(/cipher/));
  });
});

describe("traditional PEM", () => {
  test.each(["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "des-ede3-cbc"])("%s", async (cipher) => {
    const pem = EC.export({ format: "pem", type: "sec1", cipher, passphrase: PASSWORD });
    const block = blockOf(String(pem));
    expect(Buffer.from((await decryptTraditional(block, right())) as Uint8Array)).toEqual(PLAIN.sec1);
    expect(await decryptTraditional(block, [secret("wrong"), ...right()])).toBeInstanceOf(Uint8Array);
    expect(await decryptTraditional(block, [secret("wrong")])).toEqual(reason(/none of the given passwords/));
    expect(await decryptTraditional(block, [])).toEqual(reason(/without a password/));
  });

  test.each([
    ["none", ""],
    ["an unknown cipher", "DEK-Info: DES-CBC,0011223344556677\n"],
    ["no IV", "DEK-Info: AES-128-CBC\n"],
    ["a short IV", "DEK-Info: AES-128-CBC,0011223344556677\n"],
    ["a long IV", `DEK-Info: DES-EDE3-CBC,${"00".repeat(16)}\n`],
    ["an IV that is no hex", `DEK-Info: AES-128-CBC,${"zz".repeat(16)}\n`],
  ])("a DEK-Info that is %s", async (_what, header) => {
    const block = blockOf(
      `-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n${header}\nAAAA\n-----END EC PRIVATE KEY-----`,
    );
    expect(await decryptTraditional(block, right())).toEqual(reason(/DEK-Info/));
  });
});

describe("hostile parameters", () => {
  const AES = writeElement(
    TAG.SEQUENCE,
    writeOid("60864801650304012a"),
    writeElement(TAG.OCTET_STRING, new Uint8Array(16)),
  );
  const SALT = writeElement(TAG.OCTET_STRING, new Uint8Array(8));
  const number = (value: number) => writeInteger(Buffer.from(value.toString(16).padStart(10, "0"), "hex"));

  function pbes2(kdf: Uint8Array, cipher = AES, data = new Uint8Array(32)): Uint8Array<ArrayBuffer> {
    const parameters = writeElement(TAG.SEQUENCE, kdf, cipher);
    const algorithm = writeElement(TAG.SEQUENCE, writeOid("2a864886f70d01050d"), parameters);
    return writeElement(TAG.SEQUENCE, algorithm, writeElement(TAG.OCTET_STRING, data));
  }
  const pbkdf2 = (...fields: Uint8Array[]) =>
    writeElement(TAG.SEQUENCE, writeOid("2a864886f70d01050c"), writeElement(TAG.SEQUENCE, ...fields));
  const scrypt = (N: number, r: number, p: number) => {
    const fields = [SALT, number(N), number(r), number(p)];
    return writeElement(TAG.SEQUENCE, writeOid("2b06010401da47040b"), writeElement(TAG.SEQUENCE, ...fields));
  };

  test.each<[string, Uint8Array<ArrayBuffer>, RegExp]>([
    ["too many iterations", pbes2(pbkdf2(SALT, number(10_000_001))), /more than/],
    ["no iterations", pbes2(pbkdf2(SALT, number(0))), /derivation/],
    ["no salt", pbes2(pbkdf2(number(1), number(1))), /derivation/],
    [
      "an unknown PRF",
      pbes2(pbkdf2(SALT, number(1), writeElement(TAG.SEQUENCE, writeOid("2a864886f70d0205")))),
      /derivation/,
    ],
    [
      "an unknown derivation",
      pbes2(writeElement(TAG.SEQUENCE, writeOid("2a03"), writeElement(TAG.SEQUENCE))),
      /derivation/,
    ],
    ["scrypt of 1 GiB", pbes2(scrypt(2 ** 20, 8, 1)), /too large/],
    ["scrypt of much parallel work", pbes2(scrypt(2 ** 14, 8, 2 ** 10)), /too large/],
    ["scrypt with N that is no power of 2", pbes2(scrypt(1000, 8, 1)), /derivation/],
    ["scrypt with N too large for r", pbes2(scrypt(2 ** 16, 1, 1)), /derivation/],
    ["scrypt with N = 1", pbes2(scrypt(1, 8, 1)), /derivation/],
    ["scrypt with r = 0", pbes2(scrypt(16, 0, 1)), /derivation/],
    ["no cipher", pbes2(pbkdf2(SALT, number(1)), writeElement(TAG.SEQUENCE)), /cipher/],
    [
      "an IV of another length",
      pbes2(pbkdf2(SALT, number(1)), writeElement(TAG.SEQUENCE, writeOid("60864801650304012a"), SALT)),
      /./,
    ],
    [
      "data of no whole blocks",
      pbes2(pbkdf2(SALT, number(1)), AES, new Uint8Array(31)),
      /none of the given passwords/,
    ],
    ["no data", pbes2(pbkdf2(SALT, number(1)), AES, new Uint8Array()), /none of the given passwords/],
    ["nothing", new Uint8Array(), /malformed/],
  ])("%s", async (_what, der, why) => expect(await decryptPkcs8(der, right())).toEqual(reason(why)));

  test("10,000,000 iterations are few enough", async () => {
    const der = pbes2(pbkdf2(SALT, number(10_000_000)));
    expect(await decryptPkcs8(der, [])).toEqual(reason(/without a password/));
  });

  test("no more passwords are tried when those before took too long", async () => {
    const der = pbes2(pbkdf2(SALT, number(100_000)));
    const tight = new PieceBudget({ cpuMs: 0 });
    expect(await decryptPkcs8(der, right(), tight)).toEqual(reason(/none of the given passwords/));
    expect(await decryptPkcs8(der, right(), tight)).toEqual(
      reason(/not tried: the keys before it took 10 s/),
    );
  });
});

test("a wrong password is known even when the padding happens to be right", async () => {
  const pem = EC.export({ format: "pem", type: "sec1", cipher: "aes-128-cbc", passphrase: PASSWORD });
  const block = blockOf(String(pem));
  const wrong = Array.from({ length: 600 }, (_, i) =>
    secret(createHash("sha256").update(`${i}`).digest("hex")),
  );
  expect(await decryptTraditional(block, wrong)).toEqual(reason(/none of the given passwords/));
});

test("the passwords are not destroyed: they may serve other keys", async () => {
  const pem = EC.export({ format: "pem", type: "sec1", cipher: "aes-128-cbc", passphrase: PASSWORD });
  const [password] = right();
  if (!password) throw new Error("no password");
  for (let i = 0; i < 2; i++)
    expect(await decryptTraditional(blockOf(String(pem)), [password])).toBeInstanceOf(Uint8Array);
});

test("a key that is encrypted here opens with its password, here and in node:crypto", async () => {
  const der = new Uint8Array(PLAIN.pkcs8);
  const encrypted = await encryptedKey.encryptPkcs8(der, secret(PASSWORD));
  expect(der.every((byte) => byte === 0)).toBe(true);
  expect(Buffer.from((await decryptPkcs8(encrypted, right())) as Uint8Array)).toEqual(PLAIN.pkcs8);
  const read = { key: Buffer.from(encrypted), format: "der", type: "pkcs8", passphrase: PASSWORD } as const;
  expect(createPrivateKey(read).equals(EC)).toBe(true);
});

test("after a decryption, nothing but its result holds the plaintext, and the key is zeroed", () => {
  const cipher = { name: "aes-128-cbc", keyBytes: 16, ivBytes: 16 };
  const [key, iv, plaintext] = [Buffer.alloc(16, 7), Buffer.alloc(16, 9), Buffer.from("secret".repeat(4))];
  const encrypting = createCipheriv(cipher.name, key, iv);
  const data = Buffer.concat([encrypting.update(plaintext), encrypting.final()]);
  const copies = watchCopies();
  const decrypted = encryptedKey.decryptCbc(cipher, key, iv, data);
  expect(decrypted).toEqual(new Uint8Array(plaintext));
  expect(copies.holding(Buffer.from("secret"))).toEqual([decrypted]);
  expect(key).toEqual(Buffer.alloc(16));
});

describe("the structure of an encrypted key", () => {
  const OIDS = { aes: "60864801650304012a", pbkdf2: "2a864886f70d01050c", scrypt: "2b06010401da47040b" };
  const sequence = (...parts: readonly Uint8Array[]) => writeElement(TAG.SEQUENCE, ...parts);
  const number = (value: number) => writeInteger(Uint8Array.of(value >> 16, value >> 8, value));
  const [salt, iv] = [Buffer.alloc(8, 1), Buffer.alloc(16, 2)];
  /** With a key that stands for one of each derivation. */
  function encryptedBy(derivation: Uint8Array, key: Uint8Array): Bytes {
    const cipher = createCipheriv("aes-256-cbc", key, iv);
    const data = Buffer.concat([cipher.update(PLAIN.pkcs8), cipher.final()]);
    const encryption = sequence(writeOid(OIDS.aes), writeElement(TAG.OCTET_STRING, iv));
    const algorithm = sequence(writeOid(encryptedKey.PBES2), sequence(derivation, encryption));
    return sequence(algorithm, writeElement(TAG.OCTET_STRING, data));
  }
  const octets = writeElement(TAG.OCTET_STRING, salt);
  const pbkdf2Of = (...fields: readonly Uint8Array[]) =>
    sequence(writeOid(OIDS.pbkdf2), sequence(octets, ...fields));
  const scryptOf = (N: number, r: number, p: number) =>
    sequence(writeOid(OIDS.scrypt), sequence(octets, number(N), number(r), number(p)));
  const PRF = sequence(writeOid("2a864886f70d0209"));
  // 0.1.0 is the derivation, 0.1.1 the cipher, and 1 what is encrypted.
  const OUTER = {
    "in an outdated way, emptied": "0 0.0",
    "in an outdated way, removed": "0.0 0.1",
    "in an outdated way, retagged": "0.0",
    "with a cipher that is not supported, doubled": "0.0 0.1.0 0.1.1.0",
    "with a cipher that is not supported, emptied": "0.1 0.1.1 0.1.1.0",
    "with a cipher that is not supported, removed": "0.1.0 0.1.1 0.1.1.0 0.1.1.1",
    "with a cipher that is not supported, retagged": "0.1.1.0 0.1.1.1",
  };
  const forms: readonly [string, Bytes, object][] = [
    [
      "PBKDF2",
      encryptedBy(pbkdf2Of(number(1), PRF), pbkdf2Sync(PASSWORD, salt, 1, 32, "sha256")),
      {
        "a malformed encrypted key, removed": "0 1",
        ...OUTER,
        "key, doubled": "0",
        "key, emptied": "0.1.0.1.0 0.1.1.1 1",
        "key, removed": "0.1.0.1.2",
        "key, retagged": "0.1.0.1.2",
        "with a key derivation that is not supported, doubled": "0.1.0.0 0.1.0.1.0",
        "with a key derivation that is not supported, emptied":
          "0.1.0 0.1.0.0 0.1.0.1 0.1.0.1.1 0.1.0.1.2 0.1.0.1.2.0",
        "with a key derivation that is not supported, removed":
          "0.1.0.0 0.1.0.1 0.1.0.1.0 0.1.0.1.1 0.1.0.1.2.0",
        "with a key derivation that is not supported, retagged": "0.1.0.0 0.1.0.1.0 0.1.0.1.1 0.1.0.1.2.0",
      },
    ],
    [
      "scrypt",
      encryptedBy(scryptOf(2, 1, 1), scryptSync(PASSWORD, salt, 32, { N: 2, r: 1, p: 1 })),
      {
        "a malformed encrypted key, removed": "0 1",
        ...OUTER,
        "key, doubled": "0 0.1.0.1.1",
        "key, emptied": "0.1.0.1.0 0.1.1.1 1",
        "with a key derivation that is not supported, doubled": "0.1.0.0 0.1.0.1.0",
        "with a key derivation that is not supported, emptied":
          "0.1.0 0.1.0.0 0.1.0.1 0.1.0.1.1 0.1.0.1.2 0.1.0.1.3",
        "with a key derivation that is not supported, removed":
          "0.1.0.0 0.1.0.1 0.1.0.1.0 0.1.0.1.1 0.1.0.1.2 0.1.0.1.3",
        "with a key derivation that is not supported, retagged":
          "0.1.0.0 0.1.0.1.0 0.1.0.1.1 0.1.0.1.2 0.1.0.1.3",
      },
    ],
  ];
  const outcome = async (der: Bytes) => {
    const result = await decryptPkcs8(der, right());
    if (!("reason" in result)) return Buffer.compare(result, PLAIN.pkcs8) === 0 ? "opens" : "garbage";
    return result.reason
      .replace(/ \(to convert it.*| that none of.*/, "")
      .replace(/^an? (?:key )?encrypted /, "");
  };

  test.each(forms)("with %s matters wherever it is read", async (_form, der, expected) => {
    expect(await outcome(der)).toBe("opens");
    const found: Record<string, string> = {};
    for (const place of derPlaces(der))
      for (const [name, edit] of Object.entries(EDITS)) {
        const result = await outcome(place.with(...edit(place.element)));
        if (result === "opens") continue;
        const before = found[`${result}, ${name}`];
        found[`${result}, ${name}`] = before === undefined ? place.path : `${before} ${place.path}`;
      }
    expect(found).toEqual(expected);
  });

  test.each<[number, number, number, boolean]>([
    [2, 1, 1, true],
    [32_768, 1, 1, true],
    [65_536, 1, 1, false],
    [65_536, 2, 1, true],
    [1, 1, 1, false],
    [3, 1, 1, false],
    [2, 0, 1, false],
    [2, 1, 0, false],
    [0, 1, 1, false],
  ])("may have the scrypt cost N = %i, r = %i, p = %i: %s", async (N, r, p, isAllowed) => {
    const result = await outcome(encryptedBy(scryptOf(N, r, p), Buffer.alloc(32)));
    expect(result).toBe(isAllowed ? "key" : "with a key derivation that is not supported");
  });

  test("has PBKDF2's SHA-1 if it names no other", async () => {
    const key = pbkdf2Sync(PASSWORD, salt, 2, 32, "sha1");
    expect(await outcome(encryptedBy(pbkdf2Of(number(2)), key))).toBe("opens");
    expect(await outcome(encryptedBy(pbkdf2Of(number(2), sequence(writeOid("2a03"))), key))).toBe(
      "with a key derivation that is not supported",
    );
    expect(await outcome(encryptedBy(pbkdf2Of(number(0)), key))).toBe(
      "with a key derivation that is not supported",
    );
  });
});
