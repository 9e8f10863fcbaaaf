import { constants, generateKeyPairSync, type KeyObject, privateDecrypt } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { KeySet } from "../../../../src/keys/keyset.ts";
import { parseMessage } from "../../../../src/keywrap/pkcs11/message.ts";
import { unwrap } from "../../../../src/keywrap/pkcs11/unwrap.ts";
import { prepare } from "../../../../src/keywrap/pkcs11/wrap.ts";
import type { WrapSettings } from "../../../../src/keywrap/scheme.ts";
import { Secret } from "../../../../src/secret.ts";
import { describeWith } from "../../../support/peers.ts";
import { rsaPair } from "../../../support/rsa.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import {
  HELPER_ENVIRONMENT,
  keyFile,
  NSS,
  nssToken,
  policyFile,
  SOFTHSM,
  softhsmToken,
  type TestToken,
  WRONG_PIN,
} from "../../../support/tokens.ts";

const folder = temporaryFolder();
const OPTIONS = Buffer.alloc(193, "private options");

function settings(environment: Readonly<Record<string, string>> = {}): WrapSettings {
  return {
    environment: { ...HELPER_ENVIRONMENT, OCICRYPT_CONFIG: "internal", ...environment },
    providerTimeoutMs: 20_000,
    providerLegacyDc: false,
    verbose: false,
  };
}

function write(name: string, content: string | Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

const SHA1 = { OCICRYPT_OAEP_HASHALG: "sha1" };

async function wrapped(
  files: readonly string[],
  environment: Readonly<Record<string, string>> = SHA1,
  options: Uint8Array = OPTIONS,
) {
  const [wrapper, ...more] = await prepare(files, settings(environment));
  expect(more).toEqual([]);
  expect(wrapper?.annotation).toBe("pkcs11");
  return (await wrapper?.wrap(options)) as Uint8Array<ArrayBuffer>;
}

/** What each recipient's blob opens to. */
function opened(packet: Uint8Array<ArrayBuffer>, keys: readonly KeyObject[]): string[] {
  return parseMessage(packet).map((recipient, index) => {
    const key = keys[index];
    if (!("blob" in recipient) || key === undefined) throw new Error("no such recipient");
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    return privateDecrypt({ key, padding, oaepHash: recipient.hash }, recipient.blob).toString();
  });
}

const badRecipient = (words: RegExp) =>
  expect.objectContaining({ code: "BAD_RECIPIENT", message: expect.stringMatching(words) });

describe("public keys in files", () => {
  const rsa = (modulusLength: number) => rsaPair(modulusLength);
  const small = rsa(2048);
  const big = rsa(3072);
  const files = {
    "spki.pem": small.publicKey.export({ type: "spki", format: "pem" }),
    "spki.der": small.publicKey.export({ type: "spki", format: "der" }),
    "pkcs1.pem": small.publicKey.export({ type: "pkcs1", format: "pem" }),
    "pkcs1.der": small.publicKey.export({ type: "pkcs1", format: "der" }),
    "big.pem": big.publicKey.export({ type: "spki", format: "pem" }),
    "tiny.pem": rsa(1024).publicKey.export({ type: "spki", format: "pem" }),
    "ec.pem": generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({
      type: "spki",
      format: "pem",
    }),
    "private.pem": small.privateKey.export({ type: "pkcs8", format: "pem" }),
    "private-pkcs1.pem": small.privateKey.export({ type: "pkcs1", format: "pem" }),
    "private-pkcs1.der": small.privateKey.export({ type: "pkcs1", format: "der" }),
    "private.der": small.privateKey.export({ type: "pkcs8", format: "der" }),
    "garbage.pem": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "garbage.der": Buffer.from("30030101ff", "hex"),
    "empty.pem": "",
    "large.pem": Buffer.alloc(20_000, 0x20),
  };
  for (const [name, content] of Object.entries(files)) write(name, content);

  test.each(["spki.pem", "spki.der", "pkcs1.pem", "pkcs1.der"])("%s", async (name) => {
    const packet = await wrapped([join(folder, name)]);
    expect(opened(packet, [small.privateKey])).toEqual([OPTIONS.toString()]);
    expect(JSON.parse(Buffer.from(packet).toString())).toEqual({
      version: 0,
      recipients: [{ version: 0, hash: "sha1", blob: expect.stringMatching(/^[\w+/]{342}==$/) }],
    });
  });

  test("several recipients make one packet", async () => {
    const packet = await wrapped([join(folder, "spki.pem"), join(folder, "big.pem")]);
    expect(opened(packet, [small.privateKey, big.privateKey])).toEqual([
      OPTIONS.toString(),
      OPTIONS.toString(),
    ]);
  });

  test.each([
    ["sha1", "sha1"],
    ["SHA256", "sha256"],
    ["", "sha256"],
  ])("OCICRYPT_OAEP_HASHALG=%s", async (value, hash) => {
    const packet = await wrapped([join(folder, "big.pem")], { OCICRYPT_OAEP_HASHALG: value });
    expect(parseMessage(packet)).toMatchObject([{ hash }]);
    expect(opened(packet, [big.privateKey])).toEqual([OPTIONS.toString()]);
  });

  test("another hash is refused", async () => {
    await expect(wrapped([join(folder, "big.pem")], { OCICRYPT_OAEP_HASHALG: "md5" })).rejects.toMatchObject({
      code: "CONFIG",
    });
  });

  test("SHA-256 leaves no room in RSA-2048, which is said before anything is wrapped", async () => {
    const prepared = prepare([join(folder, "big.pem"), join(folder, "spki.pem")], settings());
    await expect(prepared).rejects.toEqual(badRecipient(/spki\.pem has an RSA key of 2048 bits.*190 bytes/));
  });

  test("as much as fits is wrapped, and no more", async () => {
    const file = join(folder, "spki.pem");
    const most = Buffer.alloc(214, "x");
    expect(opened(await wrapped([file], SHA1, most), [small.privateKey])).toEqual([most.toString()]);
    await expect(wrapped([file], SHA1, Buffer.alloc(215))).rejects.toEqual(badRecipient(/214 bytes/));
  });

  test.each([
    ["tiny.pem", /1024 bits/],
    ["ec.pem", /other than RSA/],
    ["private.pem", /private key/],
    ["private-pkcs1.pem", /private key/],
    ["private-pkcs1.der", /private key/],
    ["private.der", /private key/],
    ["garbage.pem", /well-formed/],
    ["garbage.der", /malformed/],
    ["empty.pem", /is empty/],
    ["large.pem", /larger than/],
    ["absent.pem", /no such file/],
    [".", /directory/],
  ])("%s is refused", async (name, words) => {
    await expect(prepare([join(folder, name)], settings(SHA1))).rejects.toEqual(badRecipient(words));
  });
});

async function unwrapped(
  packet: Uint8Array<ArrayBuffer>,
  yaml: string,
  environment?: Readonly<Record<string, string>>,
) {
  const tokenKeys = [{ origin: "key.yaml", yaml: new Secret(new TextEncoder().encode(yaml)) }];
  const keys: KeySet = {
    keys: [],
    certificates: [],
    keyrings: [],
    tokenKeys,
    parameters: new Map(),
    skipped: [],
  };
  const context = {
    keys,
    settings: settings(environment),
    name: "",
    record: () => {},
    spend: () => {},
  };
  return Buffer.from((await unwrap(packet, context))?.options.bytes ?? []).toString();
}

describeWith(SOFTHSM, "a key in SoftHSM", {}, () => {
  let token: TestToken;
  beforeAll(async () => {
    token = await softhsmToken(join(folder, "softhsm"), "wrap", { a: 2048, b: 3072 });
  });

  test("the token opens what was wrapped by its key file", async () => {
    const yaml = keyFile(token, "a");
    expect(await unwrapped(await wrapped([write("a.yaml", yaml)]), yaml)).toBe(OPTIONS.toString());
  });

  test("no PIN is needed for a public key", async () => {
    const file = write("public.yaml", keyFile(token, "a", { pin: undefined }));
    expect(await unwrapped(await wrapped([file]), keyFile(token, "a"))).toBe(OPTIONS.toString());
  });

  test.each<[string, () => string, Readonly<Record<string, string>>, RegExp]>([
    [
      "SHA-256, with which the token would not open it",
      () => keyFile(token, "b"),
      { OCICRYPT_OAEP_HASHALG: "sha256" },
      /refuses RSA-OAEP with sha256: CKR_/,
    ],
    ["a wrong PIN", () => keyFile(token, "a", { pin: WRONG_PIN }), {}, /CKR_PIN_INCORRECT/],
    ["an absent key", () => keyFile(token, "z"), {}, /no public RSA key/],
    [
      "a module that is not allowed",
      () => keyFile(token, "a", { query: `module-path=${folder}/x.so` }),
      {},
      /was not found|not allowed/,
    ],
    ["no policy", () => keyFile(token, "a"), { OCICRYPT_CONFIG: "" }, /OCICRYPT_CONFIG/],
  ])("%s is refused", async (_what, yaml, environment, words) => {
    const file = write("refused.yaml", yaml());
    await expect(prepare([file], settings({ ...SHA1, ...environment }))).rejects.toEqual(badRecipient(words));
  });
});

describeWith(NSS, "a key in NSS", {}, () => {
  test("with SHA-256, beside a public key", async () => {
    const token = await nssToken(join(folder, "softokn"), "k", 3072);
    const environment = {
      OCICRYPT_CONFIG: policyFile(join(folder, "policy.yaml"), [token.module]),
      OCICRYPT_OAEP_HASHALG: "sha256",
    };
    const yaml = keyFile(token, "k");
    const packet = await wrapped([join(folder, "big.pem"), write("nss.yaml", yaml)], environment);
    expect(parseMessage(packet)).toMatchObject([{ hash: "sha256" }, { hash: "sha256" }]);
    expect(await unwrapped(packet, yaml, environment)).toBe(OPTIONS.toString());
  });
});
