import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { KeyCollector } from "../../../src/keys/collector.ts";
import { Secret } from "../../../src/secret.ts";
import { describeWith, openssl, output } from "../../support/peers.ts";
import { rsaPair } from "../../support/rsa.ts";
import { watchCopies } from "../../support/secrets.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const bytes = (data: string | Uint8Array) => new Uint8Array(Buffer.from(data as string));
const secret = (text: string) => new Secret(bytes(text));

const RSA = rsaPair(2048);
const EC = generateKeyPairSync("ec", { namedCurve: "P-256" });

const pem = (key: KeyObject, type: "pkcs1" | "sec1" | "pkcs8" | "spki") =>
  String(key.export({ format: "pem", type } as never));
const der = (key: KeyObject, type: "pkcs1" | "sec1" | "pkcs8" | "spki") =>
  bytes(key.export({ format: "der", type } as never) as unknown as Uint8Array);

/** Adds one file to a new collector. */
async function collect(data: string | Uint8Array, passwords: readonly string[] = [], strict = false) {
  const collector = new KeyCollector(strict);
  const parameter = await collector.add(bytes(data), "file", passwords.map(secret));
  const { keys, certificates, keyrings, tokenKeys, skipped } = collector.finish(new Map());
  return { parameter, keys, certificates, keyrings, tokenKeys, skipped };
}

/** What was added, in short: "rsa ec", "certificate", or why nothing was. */
async function kinds(data: string | Uint8Array, passwords: readonly string[] = []): Promise<string> {
  const { keys, certificates, keyrings, tokenKeys, skipped } = await collect(data, passwords);
  return [
    ...keys.map(({ type }) => type),
    ...certificates.map(() => "certificate"),
    ...keyrings.map(() => "keyring"),
    ...tokenKeys.map(() => "token key"),
    ...skipped.map(({ reason }) => reason),
  ].join(" + ");
}

const JWK = JSON.stringify(EC.privateKey.export({ format: "jwk" }));
const JWKS = `{"keys":[${JWK},${JSON.stringify(RSA.privateKey.export({ format: "jwk" }))}]}`;

/** A public key, a signature, a user ID and an attribute, with lengths in each form (RFC 9580 §4.2). */
const PUBLIC_PACKETS = Buffer.concat([
  Uint8Array.of(0x99, 0, 1, 4),
  Uint8Array.of(0x99, 1, 44),
  Buffer.alloc(300, 0x95),
  Uint8Array.of(0x88, 2, 0x95, 0x95),
  Uint8Array.of(0xcd, 3, 0x95, 0x95, 0x95),
  Uint8Array.of(0xd1, 192, 8),
  Buffer.alloc(200, 0x95),
  Uint8Array.of(0xd1, 193, 8),
  Buffer.alloc(456, 0x95),
  Uint8Array.of(0xce, 255, 0, 0, 0, 2, 0x95, 0x95),
]);

test.each([
  ["ssh-ed25519 AAAAC3 a comment", /^a public key/],
  ["ecdsa-sha2-nistp256 AAAAE2", /^a public key/],
  ["sk-ssh-ed25519@openssh.com AAAAG", /^a public key/],
  ["xssh-ed25519 AAAAC3", /^not a key of a known kind$/],
  ["ssh-ed25519 BAAAC3", /^not a key of a known kind$/],
  ["", /^not a key of a known kind$/],
])("the text %j is %s", async (text, reason) => {
  expect(await kinds(text)).toMatch(reason);
});

describe("private keys by what they are", () => {
  test.each([
    ["PKCS#1 PEM", pem(RSA.privateKey, "pkcs1"), "rsa"],
    ["PKCS#8 PEM", pem(RSA.privateKey, "pkcs8"), "rsa"],
    ["SEC1 PEM", pem(EC.privateKey, "sec1"), "ec"],
    ["PKCS#1 DER", der(RSA.privateKey, "pkcs1"), "rsa"],
    ["PKCS#8 DER", der(EC.privateKey, "pkcs8"), "ec"],
    ["SEC1 DER", der(EC.privateKey, "sec1"), "ec"],
    ["a JWK", JWK, "ec"],
    ["a JWK after blanks", ` \n\t${JWK}`, "ec"],
    ["a JWK set", JWKS, "ec + rsa"],
    [
      "PEM under a wrong name",
      pem(RSA.privateKey, "pkcs1").replaceAll("RSA PRIVATE KEY", "PRIVATE KEY"),
      "rsa",
    ],
    ["PEM with CRLF", pem(EC.privateKey, "pkcs8").replaceAll("\n", "\r\n"), "ec"],
    ["PEM after a byte order mark", `\uFEFF${pem(EC.privateKey, "pkcs8")}`, "ec"],
    ["PEM after text", `0 is how this text begins\n${pem(EC.privateKey, "pkcs8")}`, "ec"],
    ["a JWK after a byte order mark", `\uFEFF${JWK}`, "ec"],
    [
      "what openssl ecparam -genkey writes",
      `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${pem(EC.privateKey, "sec1")}`,
      "ec",
    ],
    ["several in one PEM file", pem(RSA.privateKey, "pkcs1") + pem(EC.privateKey, "sec1"), "rsa + ec"],
    [
      "a key beside its public half",
      pem(EC.publicKey, "spki") + pem(EC.privateKey, "sec1"),
      "ec + a public key",
    ],
  ])("%s", async (_what, data, added) => {
    expect(await kinds(data)).toBe(added);
    expect((await collect(data)).parameter).toBe("privkeys");
  });
});

describe("what is no private key is skipped with its reason", () => {
  test.each([
    ["nothing", "", "not a key of a known kind"],
    ["text", "hello", "not a key of a known kind"],
    ["text with an SSH key in it", "x ssh-rsa AAAA", "not a key of a known kind"],
    ["binary", Uint8Array.of(1, 2, 3), "not a key of a known kind"],
    ...[
      [0xee, 0xbb, 0xbf],
      [0xef, 0xba, 0xbf],
      [0xef, 0xbb, 0xbe],
    ].map((mark): [string, Uint8Array, string] => [
      `a token's key file after ${Buffer.from(mark).toString("hex")}, which is not a byte order mark`,
      Buffer.concat([Buffer.from(mark), Buffer.from("pkcs11: {}\n")]),
      "not a key of a known kind",
    ]),
    ["text that begins like DER", "0123", "not a key of a known kind"],
    ["a public key, PEM", pem(EC.publicKey, "spki"), "a public key"],
    ["a public key, DER", der(EC.publicKey, "spki"), "a public key"],
    ["a public key, PKCS#1 PEM", pem(RSA.publicKey, "pkcs1"), "a public key"],
    ["a public key, PKCS#1 DER", der(RSA.publicKey, "pkcs1"), "a public key"],
    ["a public JWK", JSON.stringify(EC.publicKey.export({ format: "jwk" })), "a public key"],
    ["other JSON", '{"a":1}', "JSON, but not a JWK or a JWK set"],
    ["broken JSON", '{"d":"hunter2', "JSON, but not a JWK or a JWK set"],
    ["other DER", Uint8Array.of(0x30, 3, 2, 1, 5), "DER, but neither a private key nor a certificate"],
    ["a cut PEM", pem(EC.privateKey, "sec1").slice(0, -20), "PEM without a complete block"],
    [
      "PEM that is no base64",
      "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n",
      'a PEM block "PRIVATE KEY" that is not valid base64',
    ],
    [
      "PEM with something else inside",
      "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
      "not a well-formed private key",
    ],
    [
      "another PEM",
      "-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n",
      'a PEM block "DSA PRIVATE KEY"',
    ],
    [
      "a certificate that is none",
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      'a PEM block "CERTIFICATE"',
    ],
    [
      "parameters alone",
      "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
      "PEM without a complete block",
    ],
    ["a public keyring", Uint8Array.of(0x99, 1, 0, 4), "a public OpenPGP key"],
    ["a public keyring of several packets", PUBLIC_PACKETS, "a public OpenPGP key"],
    [
      "a public keyring with a length of an indefinite form",
      Buffer.concat([Uint8Array.of(0x99, 0, 1, 4), Uint8Array.of(0xce, 224), Buffer.alloc(9000, 0x95)]),
      "a public OpenPGP key",
    ],
    [
      "DER that begins like a public key",
      Uint8Array.of(0x30, 9, 2, 1, 5, 2, 1, 5, 2, 1, 5),
      "DER, but neither a private key nor a certificate",
    ],
    ["JSON that mentions pkcs11", '{"kid":"a pkcs11: b"}', "JSON, but not a JWK or a JWK set"],
  ])("%s", async (_what, data, reason) => {
    expect(await kinds(data)).toBe(reason);
    expect((await collect(data)).parameter).toBeUndefined();
    expect((await collect(data)).skipped[0]?.origin).toBe("file");
  });
});

describe("keyrings and token files are kept as they are", () => {
  test.each([
    ["armoured", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----\n"],
    ["legacy format", Uint8Array.of(0x95, 1, 0, 4)],
    ["current format", Uint8Array.of(0xc5, 5, 4)],
    ["a subkey first", Uint8Array.of(0x9d, 1, 0, 4)],
    ["public keys first", Buffer.concat([PUBLIC_PACKETS, Uint8Array.of(0x95, 0, 1, 4)])],
  ])("OpenPGP, %s", async (_what, data) => {
    const { parameter, keyrings } = await collect(data, ["one", "two"]);
    expect(parameter).toBe("gpg-privatekeys");
    expect(keyrings).toMatchObject([{ data: bytes(data), origin: "file" }]);
    expect(keyrings[0]?.passphrases.map((it) => Buffer.from(it.bytes).toString())).toEqual(["one", "two"]);
  });

  test.each([
    "pkcs11:\n  uri: pkcs11:token=x\n",
    "# a comment\npkcs11 : {}\nmodule: {}\n",
    "\uFEFFpkcs11: {}\n",
    '{"module": {}, "pkcs11": {"uri": "pkcs11:token=x"}}',
    "{pkcs11: {uri: 'pkcs11:token=x'}}",
  ])("PKCS#11: %j", async (data) => {
    const { parameter, tokenKeys } = await collect(data);
    expect(parameter).toBe("pkcs11-yamls");
    expect(Buffer.from(tokenKeys[0]?.yaml.bytes ?? []).toString()).toBe(data.replace("\uFEFF", ""));
  });
});

describeWith([openssl], "beside certificates", {}, () => {
  let certificate = "";
  let encrypted = "";
  beforeAll(async () => {
    const input = Buffer.from(pem(RSA.privateKey, "pkcs8"));
    const file = join(folder, "key.pem");
    writeFileSync(file, input);
    certificate = String(await output(openssl, ["req", "-x509", "-key", file, "-subj", "/CN=node"]));
    encrypted = String(await output(openssl, ["pkcs8", "-topk8", "-passout", "pass:open"], { input }));
  });

  test("certificates, PEM and DER", async () => {
    const raw = bytes(
      await output(openssl, ["x509", "-outform", "DER"], { input: Buffer.from(certificate) }),
    );
    for (const data of [certificate, raw, certificate.replaceAll("CERTIFICATE", "TRUSTED CERTIFICATE")]) {
      const { parameter, certificates } = await collect(data);
      expect(parameter).toBe("x509s");
      expect(certificates).toEqual([{ der: raw, origin: "file" }]);
    }
  });

  test("a certificate with what it is trusted for", async () => {
    const options = ["x509", "-trustout", "-addtrust", "emailProtection", "-setalias", "node"];
    const trusted = String(await output(openssl, options, { input: Buffer.from(certificate) }));
    expect(trusted).toContain("-----BEGIN TRUSTED CERTIFICATE-----");
    expect(trusted.length).toBeGreaterThan(certificate.length + "TRUSTED ".length * 2);
    const { certificates } = await collect(trusted);
    expect(certificates).toEqual((await collect(certificate)).certificates);
  });

  test("a bundle of key and certificate", async () => {
    expect(await kinds(certificate + pem(RSA.privateKey, "pkcs8"))).toBe("rsa + certificate");
    expect(await kinds(pem(RSA.privateKey, "pkcs8") + certificate)).toBe("rsa + certificate");
  });

  test("an encrypted key opens with its password only", async () => {
    expect(await kinds(encrypted, ["open"])).toBe("rsa");
    expect(await kinds(encrypted, ["other", "open"])).toBe("rsa");
    expect(await kinds(encrypted, ["other"])).toBe("an encrypted key that none of the given passwords opens");
    expect(await kinds(encrypted)).toBe("an encrypted key without a password for it");
    const body = Buffer.from(encrypted.replace(/-----.*-----/g, ""), "base64");
    expect(await kinds(body, ["open"])).toBe("rsa");
  });

  test("a traditional encrypted key, too", async () => {
    const input = Buffer.from(pem(RSA.privateKey, "pkcs8"));
    const args = ["rsa", "-traditional", "-aes128", "-passout", "pass:open"];
    const traditional = String(await output(openssl, args, { input }));
    expect(traditional).toContain("Proc-Type: 4,ENCRYPTED");
    expect(await kinds(traditional, ["open"])).toBe("rsa");
    expect(await kinds(traditional.replaceAll("\n", "\r\n"), ["open"])).toBe("rsa");
    expect(await kinds(traditional, ["other"])).toMatch(/none of the given passwords/);
  });
});

test("strict: the first thing that can't be used is an error, and says which", async () => {
  await expect(collect("hello", [], true)).rejects.toThrow(
    expect.objectContaining({
      code: "BAD_KEY",
      message: "file can't be used: not a key of a known kind",
      hint: expect.stringContaining("--strict-keys"),
    }),
  );
  expect((await collect(JWKS, [], true)).keys).toHaveLength(2);
});

test("no more keys than the limit", async () => {
  const collector = new KeyCollector(false);
  const jwks = (count: number) => bytes(`{"keys":[${Array(count).fill(JWK).join()}]}`);
  for (let i = 0; i < 3; i++) await collector.add(jwks(1024), `file ${i}`, []);
  await collector.add(jwks(1023), "file 3", []);
  expect([collector.keys.length, collector.skipped.length]).toEqual([4095, 0]);
  await collector.add(jwks(2), "the last and one more", []);
  await collector.add(bytes(JWK), "another", []);
  expect(collector.keys).toHaveLength(4096);
  expect(collector.skipped).toMatchObject([{ origin: "the last and one more" }, { origin: "another" }]);
  // Nothing is looked at any more: this is no key.
  await collector.add(bytes("text"), "text", []);
  expect(collector.skipped.at(-1)).toEqual({ origin: "text", reason: "more than 4096 keys" });
});

/** A key whose password is "x", and its private number. */
const ENCRYPTED = {
  pem: String(EC.privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-128-cbc", passphrase: "x" })),
  secret: Buffer.from(String(EC.privateKey.export({ format: "jwk" }).d), "base64url"),
};

test("a key above the limit is not left in memory", async () => {
  const collector = new KeyCollector(false);
  const jwks = (count: number) => bytes(`{"keys":[${Array(count).fill(JWK).join()}]}`);
  for (const count of [1024, 1024, 1024, 1023]) await collector.add(jwks(count), "others", []);
  const copies = watchCopies();
  await collector.add(bytes(`${pem(RSA.privateKey, "pkcs8")}${ENCRYPTED.pem}`), "file", [secret("x")]);
  expect(collector.keys).toHaveLength(4096);
  expect(copies.holding(ENCRYPTED.secret)).toEqual([]);
});

test("an encrypted key is in memory once", async () => {
  const copies = watchCopies();
  const { keys } = await collect(ENCRYPTED.pem, ["x"]);
  expect(copies.holding(ENCRYPTED.secret)).toEqual([keys[0]?.pkcs8.bytes]);
});

test("once deriving keys has taken 10 s of processor time, no other is derived", async () => {
  const encrypted = String(
    EC.privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" }),
  );
  const added = async (milliseconds: number) => {
    const collector = new KeyCollector(false);
    let user = 0;
    const clock = vi.spyOn(process, "cpuUsage").mockImplementation(() => {
      user += milliseconds * 1000;
      return { user, system: 0 };
    });
    onTestFinished(() => clock.mockRestore());
    for (let i = 0; i < 2; i++) await collector.add(bytes(encrypted), "file", [secret("x")]);
    return collector.keys.length;
  };
  expect(await added(10_000)).toBe(2);
  expect(await added(10_001)).toBe(1);
});

test("not more PEM blocks than the limit are looked at", async () => {
  const added = await collect(pem(EC.privateKey, "sec1").repeat(300));
  expect(added.keys.length).toBe(256);
});
