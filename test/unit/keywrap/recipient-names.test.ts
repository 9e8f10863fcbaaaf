import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeLayer, recipientNames } from "../../../src/keywrap/describe.ts";
import { namesOf } from "../../../src/keywrap/recipient-names.ts";
import { LayerWrapper } from "../../../src/keywrap/wrap.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { bytes, makeKey } from "./pgp/messages.ts";

const folder = temporaryFolder();

const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };

test("an image names the provider of a provider's recipient", async () => {
  expect(await namesOf("provider:kms:key-1", SETTINGS)).toEqual(new Set(["provider.kms:(unnamed)"]));
});

test("a recipient whose packets name nobody can't be compared", async () => {
  await expect(namesOf("pkcs11:token.yaml", SETTINGS)).rejects.toMatchObject({
    code: "BAD_RECIPIENT",
    message: "pkcs11:token.yaml can't be compared: pkcs11 packets do not name their recipients",
    hint: expect.stringContaining("pkcs11:(unnamed)"),
  });
});

test.each(["jwe:", "mine.pem", "other:key"])("%j is no recipient", async (recipient) => {
  await expect(namesOf(recipient, SETTINGS)).rejects.toMatchObject({ code: "USAGE" });
});

/** A recipient whose JWK has a kid of its own. */
function named(kid: string): string {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const file = join(folder, crypto.randomUUID());
  writeFileSync(file, JSON.stringify({ ...publicKey.export({ format: "jwk" }), kid }));
  return `jwe:${file}`;
}

test.each([
  ["that is long", `${"x".repeat(255)}a`, `${"x".repeat(255)}b`],
  ["that is too long", `${"x".repeat(256)}a`, `${"x".repeat(256)}b`],
  ["beyond ASCII", "schlüssel", "schlössel"],
  ["with control characters", "a\n", "a\t"],
  ["that is empty", "", ""],
])("a kid %s names its own key only", async (_what, kid, otherKid) => {
  const [one, other] = [named(kid), named(otherKid)];
  const wrapper = await LayerWrapper.prepare([one], SETTINGS);
  const annotations = await wrapper.wrap(Buffer.from("{}"));
  const [name = "", ...more] = recipientNames(await describeLayer(annotations));
  expect(more).toEqual([]);
  expect([...(await namesOf(one, SETTINGS))]).toContain(name);
  expect([...(await namesOf(other, SETTINGS))]).not.toContain(name);
  // Who is a recipient already gets no packet again.
  expect(await wrapper.wrap(Buffer.from("{}"), annotations)).toEqual({});
});

test("a kid that is too long names nobody", async () => {
  const names = async (length: number) => {
    const jwe = {
      unprotected: { kid: "x".repeat(length) },
      iv: "",
      ciphertext: "",
      tag: "",
      encrypted_key: "",
    };
    const packet = Buffer.from(JSON.stringify(jwe)).toString("base64");
    return recipientNames(await describeLayer({ "org.opencontainers.image.enc.keys.jwe": packet }));
  };
  expect(await names(256)).toEqual([`jwe:${"x".repeat(256)}`]);
  expect(await names(257)).toEqual(["jwe:(unnamed)"]);
});

test("a recipient of OpenPGP is the one key that would be encrypted for", async () => {
  const expired = await makeKey({ date: new Date("2020-01-01"), keyExpirationTime: 1 });
  const [current, another] = [await makeKey(), await makeKey()];
  const names = async (...keys: (typeof expired)[]) => {
    const file = join(folder, crypto.randomUUID());
    writeFileSync(file, bytes(...keys.map((key) => key.toPublic().write())));
    return await namesOf(`pgp:${file}`, SETTINGS);
  };
  const first = await names(current);
  expect(first).toContain(`pgp:0x${current.subkeys[0]?.getKeyID().toHex()}`);
  expect(await names(expired, current)).toEqual(first);
  expect(await names(expired)).toContain(`pgp:0x${expired.getKeyID().toHex()}`);
  await expect(names(current, another)).rejects.toMatchObject({
    code: "BAD_RECIPIENT",
    message: expect.stringContaining("stands for several keys"),
  });
});
