import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import jose from "node-jose";
import { beforeAll, describe, expect, test } from "vitest";
import { thumbprint } from "../../../../src/keys/thumbprint.ts";
import { unwrap } from "../../../../src/keywrap/jwe/unwrap.ts";
import { prepare } from "../../../../src/keywrap/jwe/wrap.ts";
import type { WrapSettings } from "../../../../src/keywrap/scheme.ts";
import { asymmetricKey, keySet, unwrapContext } from "../../../support/jwe.ts";
import { describeWith, openssl, output } from "../../../support/peers.ts";
import { rsaPair } from "../../../support/rsa.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
const PLAIN = Buffer.from('{"symkey":"c2VjcmV0"}');
const RSA = rsaPair(2048);
const EC = new Map(
  ["P-256", "P-384", "P-521"].map((curve) => [curve, generateKeyPairSync("ec", { namedCurve: curve })]),
);
const pairOf = (kind: string) => EC.get(kind) ?? RSA;
const KINDS = ["RSA", ...EC.keys()];

let files = 0;
function file(content: string | Uint8Array | object): string {
  const path = join(folder, `recipient-${++files}`);
  writeFileSync(
    path,
    typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content),
  );
  return path;
}

const jwkOf = (key: KeyObject) => key.export({ format: "jwk" });
const pem = (key: KeyObject, type = "spki") => String(key.export({ format: "pem", type } as never));
const der = (key: KeyObject, type = "spki") =>
  key.export({ format: "der", type } as never) as unknown as Buffer;
/** `openssl req -x509` makes a CA's certificate by default. */
const END_ENTITY = ["-addext", "basicConstraints=critical,CA:FALSE"];
const RSA_DEFAULT = "RSA-OAEP";
const EC_DEFAULT = "ECDH-ES+A256KW";

const wrapFor = (...paths: string[]) => wrapWith({}, ...paths);

async function wrapWith(more: Partial<WrapSettings>, ...paths: string[]): Promise<Record<string, unknown>> {
  const [wrapper] = await prepare(paths, { ...SETTINGS, ...more });
  expect(wrapper?.annotation).toBe("jwe");
  return JSON.parse(Buffer.from((await wrapper?.wrap(PLAIN)) ?? []).toString());
}

async function ourText(jwe: object, key: KeyObject): Promise<string | null> {
  const opened = await unwrap(
    new Uint8Array(Buffer.from(JSON.stringify(jwe))),
    unwrapContext(keySet(asymmetricKey(key))),
  );
  return opened && Buffer.from(opened.options.bytes).toString();
}

async function joseText(jwe: object, key: KeyObject): Promise<string> {
  const decrypt = jose.JWE.createDecrypt(await jose.JWK.asKey(jwkOf(key) as object));
  // It changes what it is given.
  return (await decrypt.decrypt(structuredClone(jwe) as never)).plaintext.toString();
}

const headerOf = (jwe: Record<string, unknown>) =>
  JSON.parse(Buffer.from(String(jwe["protected"]), "base64url").toString());

describe.each(KINDS)("one recipient, %s", (kind) => {
  const { publicKey, privateKey } = pairOf(kind);

  test("flattened, opened by node-jose and by ours", async () => {
    const jwe = await wrapFor(file(pem(publicKey)));
    expect(Object.keys(jwe).sort()).toEqual(["ciphertext", "encrypted_key", "iv", "protected", "tag"]);
    expect(headerOf(jwe)).toMatchObject({ alg: kind === "RSA" ? RSA_DEFAULT : EC_DEFAULT, enc: "A256GCM" });
    expect(headerOf(jwe)).toHaveProperty("kid", thumbprint({ ...jwkOf(publicKey) }));
    expect(await joseText(jwe, privateKey)).toBe(PLAIN.toString());
    expect(await ourText(jwe, privateKey)).toBe(PLAIN.toString());
  });

  test("without its name if it is to be anonymous, even a JWK's own", async () => {
    for (const content of [pem(publicKey), { ...jwkOf(publicKey), kid: "node-1" }]) {
      const jwe = await wrapWith({ isAnonymous: true }, file(content));
      expect(headerOf(jwe)).not.toHaveProperty("kid");
      expect(await ourText(jwe, privateKey)).toBe(PLAIN.toString());
    }
  });

  const forms: [string, () => string | Uint8Array | object][] = [
    ["PEM", () => pem(publicKey)],
    ["PEM with CRLF", () => pem(publicKey).replaceAll("\n", "\r\n")],
    ["PEM after text", () => `node key\n${pem(publicKey)}`],
    ["DER", () => der(publicKey)],
    ["JWK", () => jwkOf(publicKey)],
    ["a set of one JWK", () => ({ keys: [jwkOf(publicKey)] })],
    ...(kind === "RSA"
      ? ([
          ["PKCS#1 PEM", () => pem(publicKey, "pkcs1")],
          ["PKCS#1 DER", () => der(publicKey, "pkcs1")],
        ] as [string, () => string | Buffer][])
      : []),
  ];
  test.each(forms)("given as %s", async (_form, content) => {
    expect(await ourText(await wrapFor(file(content())), privateKey)).toBe(PLAIN.toString());
  });
});

describe("a JWK's own alg and kid", () => {
  const ec = jwkOf(pairOf("P-256").publicKey);
  const rsa = jwkOf(RSA.publicKey);
  test.each([
    [ec, "ECDH-ES+A128KW", "ECDH-ES+A128KW"],
    [ec, "ECDH-ES+A192KW", "ECDH-ES+A192KW"],
    [ec, "ECDH-ES", EC_DEFAULT],
    [ec, "RSA-OAEP", EC_DEFAULT],
    [rsa, "RSA-OAEP-256", "RSA-OAEP-256"],
    [rsa, "RSA1_5", RSA_DEFAULT],
    [rsa, "ECDH-ES+A128KW", RSA_DEFAULT],
    [rsa, 5, RSA_DEFAULT],
  ])("%# %j: %s", async (jwk, own, used) => {
    const jwe = await wrapFor(file({ ...jwk, alg: own, kid: "node-1", use: "enc" }));
    expect(headerOf(jwe)).toMatchObject({ alg: used, kid: "node-1" });
    const { privateKey } = jwk === rsa ? RSA : pairOf("P-256");
    expect(await joseText(jwe, privateKey)).toBe(PLAIN.toString());
  });

  test("no more of the JWK than the key itself goes into the header", async () => {
    const jwe = await wrapFor(file({ ...ec, "my-note": "hunter2", x5c: ["x"] }));
    expect(JSON.stringify(headerOf(jwe))).not.toMatch(/hunter2|x5c/);
  });
});

test("several recipients: general, each opens it", async () => {
  const jwe = await wrapFor(...KINDS.map((kind) => file(pem(pairOf(kind).publicKey))));
  expect(headerOf(jwe)).toEqual({ enc: "A256GCM" });
  expect(jwe["recipients"]).toHaveLength(KINDS.length);
  expect(jwe).not.toHaveProperty("encrypted_key");
  for (const kind of KINDS) {
    expect(await joseText(jwe, pairOf(kind).privateKey)).toBe(PLAIN.toString());
    expect(await ourText(jwe, pairOf(kind).privateKey)).toBe(PLAIN.toString());
  }
});

test("every wrapping has a content key, iv and ephemeral key of its own", async () => {
  const [wrapper] = await prepare([file(pem(pairOf("P-256").publicKey))], SETTINGS);
  const packets = await Promise.all(
    [1, 2].map(async () => JSON.parse(Buffer.from((await wrapper?.wrap(PLAIN)) ?? []).toString())),
  );
  for (const part of ["protected", "encrypted_key", "iv", "ciphertext"])
    expect(new Set(packets.map((it) => it[part])).size).toBe(2);
});

describeWith([openssl], "certificates", {}, () => {
  let certificate = "";
  beforeAll(async () => {
    const key = file(pem(RSA.privateKey, "pkcs8"));
    certificate = String(
      await output(openssl, ["req", "-x509", "-key", key, "-subj", "/CN=node", ...END_ENTITY]),
    );
  });

  test("PEM and DER", async () => {
    const raw = Buffer.from(certificate.replace(/-----.*-----/g, ""), "base64");
    for (const content of [certificate, raw])
      expect(await ourText(await wrapFor(file(content)), RSA.privateKey)).toBe(PLAIN.toString());
  });

  test("a certificate with its private key is refused", async () => {
    const both = file(certificate + pem(RSA.privateKey, "pkcs8"));
    await expect(prepare([both], SETTINGS)).rejects.toThrow(/private key/);
  });
});

describe("what is no public key is refused by name, before any wrapping", () => {
  const { publicKey, privateKey } = pairOf("P-256");
  const jwk = jwkOf(publicKey);
  mkdirSync(join(folder, "directory"));
  test.each<[string, () => string, RegExp]>([
    ["missing", () => join(folder, "missing"), /no such file/],
    ["a folder", () => join(folder, "directory"), /directory/],
    ["empty", () => file(""), /is empty/],
    ["text", () => file("hunter2"), /neither PEM, DER nor JWK/],
    ["a private PEM key", () => file(pem(privateKey, "pkcs8")), /private key/],
    ["a private SEC1 key", () => file(pem(privateKey, "sec1")), /private key/],
    ["a private DER key", () => file(der(privateKey, "pkcs8")), /private key/],
    ["a private JWK", () => file(jwkOf(privateKey)), /private key/],
    ["a private JWK in a set", () => file({ keys: [jwkOf(privateKey)] }), /private key/],
    ["a symmetric JWK", () => file({ kty: "oct", k: "hunter2" }), /private key/],
    [
      "an encrypted key",
      () =>
        file(
          String(privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-128-cbc", passphrase: "x" })),
        ),
      /private key/,
    ],
    ["a set of two", () => file({ keys: [jwk, jwk] }), /set with 2/],
    ["an empty set", () => file({ keys: [] }), /set with 0/],
    ["broken JSON", () => file('{"x":hunter2'), /JSON/],
    ["a JWK for signing", () => file({ ...jwk, use: "sig" }), /use/],
    ["a point off the curve", () => file({ ...jwk, y: jwk.x }), /well-formed/],
    ["an Ed25519 key", () => file(pem(generateKeyPairSync("ed25519").publicKey)), /neither an RSA key nor/],
    [
      "another curve",
      () => file(pem(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey)),
      /neither an RSA key nor|well-formed/,
    ],
    ["a small RSA key", () => file(pem(rsaPair(1024).publicKey)), /1024 bits/],
    ["another PEM", () => file("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"), /no PEM block/],
    [
      "PEM that is no base64",
      () => file("-----BEGIN PUBLIC KEY-----\n?\n-----END PUBLIC KEY-----\n"),
      /base64/,
    ],
    [
      "PEM with something else inside",
      () => file("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
      /well-formed/,
    ],
    ["other DER", () => file(Uint8Array.of(0x30, 3, 2, 1, 5)), /malformed/],
  ])("%s", async (_what, path, message) => {
    const recipient = path();
    const good = file(pem(publicKey));
    await expect(prepare([good, recipient], SETTINGS)).rejects.toThrow(
      expect.objectContaining({ code: "BAD_RECIPIENT", message: expect.stringMatching(message) }),
    );
    await expect(prepare([recipient], SETTINGS)).rejects.toThrow(
      expect.objectContaining({ message: expect.stringContaining(recipient) }),
    );
    await expect(prepare([recipient], SETTINGS)).rejects.not.toThrow(/hunter2/);
  });
});
