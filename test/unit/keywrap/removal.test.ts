import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { describeLayer, recipientName } from "../../../src/keywrap/describe.ts";
import { Removal } from "../../../src/keywrap/removal.ts";
import { unwrapLayer } from "../../../src/keywrap/unwrap.ts";
import { LayerWrapper } from "../../../src/keywrap/wrap.ts";
import { asymmetricKey, keySet } from "../../support/jwe.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { keyring, makeKey } from "./pgp/messages.ts";
import { holder } from "./pkcs7/packets.ts";

const folder = temporaryFolder();
const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
const PLAIN = Buffer.from('{"symkey":"c2VjcmV0"}');
const NAMES = ["a", "b", "c"] as const;

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** For each scheme: recipients, and the key set that opens each one's part. */
const SCHEMES: Record<string, { recipients: string[]; keys: ReturnType<typeof keySet>[] }> = {};

beforeAll(async () => {
  const pairs = NAMES.map(() => generateKeyPairSync("ec", { namedCurve: "P-256" }));
  SCHEMES["jwe"] = {
    recipients: pairs.map(
      ({ publicKey }, i) => `jwe:${file(`${i}.pem`, publicKey.export({ format: "pem", type: "spki" }))}`,
    ),
    keys: pairs.map(({ privateKey }) => keySet(asymmetricKey(privateKey))),
  };
  const holders = NAMES.map((name) => holder({ name }));
  SCHEMES["pkcs7"] = {
    recipients: holders.map(({ certificate }, i) => `pkcs7:${file(`${i}.crt`, certificate.der)}`),
    keys: holders.map(({ key, certificate }) => ({ ...keySet(key), certificates: [certificate] })),
  };
  const rings = await Promise.all(NAMES.map(() => makeKey()));
  SCHEMES["pgp"] = {
    recipients: rings.map((ring, i) => `pgp:${file(`${i}.gpg`, ring.toPublic().write())}`),
    keys: rings.map((ring) => ({ ...keySet(), keyrings: [keyring(ring)] })),
  };
});

const wrapped = async (recipients: readonly string[], more = {}) =>
  await (await LayerWrapper.prepare(recipients, { ...SETTINGS, ...more })).wrap(PLAIN);
const without = async (annotations: Record<string, string>, ...recipients: string[]) =>
  await (await Removal.prepare(recipients, SETTINGS)).apply(annotations);

async function openedBy(annotations: Record<string, string>, keys: ReturnType<typeof keySet>[]) {
  return await Promise.all(
    keys.map(async (set) => {
      const opened = await unwrapLayer(annotations, set, SETTINGS).catch(() => null);
      return opened !== null && Buffer.from(opened.options.bytes).equals(PLAIN);
    }),
  );
}

describe.each(["jwe", "pkcs7", "pgp"])("%s", (scheme) => {
  test("loses one recipient of three, by file and by id; the others still open it", async () => {
    const { recipients = [], keys = [] } = SCHEMES[scheme] ?? {};
    const [, second = ""] = recipients;
    const annotations = await wrapped(recipients);
    const [packet] = await describeLayer(annotations);
    const id = packet?.recipients[scheme === "pkcs7" ? -1 : 1]?.id;
    const ids = id === undefined ? [] : [`${scheme}:${id}`, `${scheme}: ALGORITHM ${id}`];
    for (const named of [second, ...ids]) {
      const left = await without(annotations, named);
      expect(await openedBy(left, keys)).toEqual([true, false, true]);
    }
    expect(await without(annotations, ...recipients)).toEqual({});
  });

  test("keeps a present recipient's packet, and adds only the missing", async () => {
    const { recipients = [], keys = [] } = SCHEMES[scheme] ?? {};
    const before = await wrapped(recipients.slice(0, 2));
    const again = await (await LayerWrapper.prepare(recipients.slice(0, 2), SETTINGS)).wrap(PLAIN, before);
    expect(again).toEqual({});
    const more = await (await LayerWrapper.prepare(recipients, SETTINGS)).wrap(PLAIN, before);
    expect(Object.values(more)[0]?.split(",")[0]).toBe(Object.values(before)[0]);
    expect((await describeLayer(more)).map((packet) => packet.recipients.length)).toEqual([2, 1]);
    expect(await openedBy(more, keys)).toEqual([true, true, true]);
  });

  test("writes a key that is named in two files once", async () => {
    const { recipients = [] } = SCHEMES[scheme] ?? {};
    const { readFileSync } = await import("node:fs");
    const copy = file(`copy-${scheme}`, readFileSync(recipients[0]?.slice(scheme.length + 1) ?? ""));
    const [packet] = await describeLayer(await wrapped([...recipients, `${scheme}:${copy}`]));
    expect(packet?.recipients).toHaveLength(3);
  });
});

test.each([
  ["jwe: ECDH-ES+A256KW abc", "jwe:abc"],
  ["jwe: ECDH-ES+A256KW two words", "jwe:two words"],
  ["pkcs7: rsaEncryption issuer CN=a b,O=c serial 2a", "pkcs7:issuer CN=a b,O=c serial 2a"],
  ["pkcs7:  RSAES-OAEP-sha256 key id 4f", "pkcs7:key id 4f"],
  ["pgp: RSA 0x0123456789abcdef", "pgp:0x0123456789abcdef"],
  ["provider.kms: known to the key provider only (unnamed)", "provider.kms:(unnamed)"],
  ["jwe:abc", "jwe:abc"],
  ["jwe: abc", "jwe: abc"],
  ["pkcs7:issuer CN=a: b c serial 2a", "pkcs7:issuer CN=a: b c serial 2a"],
  ["jwe:a file of mine.pub", "jwe:a file of mine.pub"],
  ["pkcs11", "pkcs11"],
])("%j names the recipient %j", (text, name) => {
  expect(recipientName(text)).toBe(name);
});

test("an anonymous recipient, and one whom no layer names, are reported", async () => {
  const { recipients = [] } = SCHEMES["jwe"] ?? {};
  const [first = ""] = recipients;
  const annotations = await wrapped(recipients, { isAnonymous: true });
  for (const [removed, from] of [
    [first, annotations],
    ["jwe:nobody", await wrapped(recipients)],
  ] as const) {
    const removal = await Removal.prepare([removed], SETTINGS);
    expect(await removal.apply(from)).toEqual(from);
    expect(() => removal.checkAllFound()).toThrow(
      expect.objectContaining({ code: "BAD_RECIPIENT", hint: expect.stringContaining("--only") }),
    );
  }
});

test("a key provider loses its whole annotation; PKCS#11 names nobody", async () => {
  const prefix = "org.opencontainers.image.enc.keys.";
  const annotations = { [`${prefix}provider.kms`]: "AAAA,AAAA", [`${prefix}provider.other`]: "AAAA", x: "y" };
  const left = await without(annotations, "provider:kms:region=x");
  expect(left).toEqual({ [`${prefix}provider.other`]: "AAAA", x: "y" });
  await expect(Removal.prepare(["pkcs11:x"], SETTINGS)).rejects.toMatchObject({ code: "BAD_RECIPIENT" });
});

test("a broken packet stays as it is", async () => {
  const { recipients = [] } = SCHEMES["jwe"] ?? {};
  const [[name, value] = ["", ""]] = Object.entries(await wrapped(recipients.slice(0, 2)));
  const left = await without({ [name]: `?,${value}` }, recipients[0] ?? "");
  expect(left[name]).toMatch(/^\?,[A-Za-z0-9+/=]+$/);
});
