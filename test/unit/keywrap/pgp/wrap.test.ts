import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encryptKey, type Key, type PrivateKey, revokeKey } from "openpgp";
import { beforeAll, describe, expect, test } from "vitest";
import { readPackets } from "../../../../src/keywrap/pgp/framing.ts";
import { unwrap } from "../../../../src/keywrap/pgp/unwrap.ts";
import { prepare } from "../../../../src/keywrap/pgp/wrap.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { bytes, contextWith, keyring, makeKey, OPTIONS, SETTINGS } from "./messages.ts";

const folder = temporaryFolder();
let alice: PrivateKey;
let bob: PrivateKey;

beforeAll(async () => {
  alice = await makeKey();
  bob = await makeKey({ type: "rsa", rsaBits: 2048 });
});

let files = 0;
function file(...keys: readonly (Key | string)[]): string {
  const path = join(folder, `${files++}.key`);
  writeFileSync(
    path,
    bytes(...keys.map((key) => (typeof key === "string" ? Buffer.from(key) : key.write()))),
  );
  return path;
}

async function wrapFor(...recipients: string[]): Promise<Uint8Array<ArrayBuffer>> {
  const [wrapper, ...others] = await prepare(recipients, SETTINGS);
  expect(wrapper?.annotation).toBe("pgp");
  expect(others).toEqual([]);
  return bytes((await wrapper?.wrap(new Uint8Array(OPTIONS))) ?? []);
}

async function opens(message: Uint8Array<ArrayBuffer>, key: PrivateKey): Promise<void> {
  const opened = await unwrap(message, contextWith(keyring(key)));
  expect(Buffer.from(opened?.options.bytes ?? [])).toEqual(OPTIONS);
}

/** Types and versions of a message's packets. */
const packetsOf = (message: Uint8Array<ArrayBuffer>) =>
  readPackets(message).map(({ tag, body }) => ({ tag, version: body[0] }));

describe("messages", () => {
  test("for a key in a file, binary or armoured", async () => {
    for (const path of [file(alice.toPublic()), file(alice.toPublic().armor())]) {
      await opens(await wrapFor(path), alice);
    }
  });

  test("for several keys: each opens the one message", async () => {
    const message = await wrapFor(file(alice.toPublic()), file(bob.toPublic()));
    for (const key of [alice, bob]) await opens(message, key);
    expect(packetsOf(message)).toEqual([
      { tag: 1, version: 3 },
      { tag: 1, version: 3 },
      { tag: 18, version: 1 },
    ]);
  });

  test("are of the oldest form, also for a key that would take a newer one", async () => {
    const key = await makeKey({ type: "rsa", rsaBits: 2048, config: { aeadProtect: true } });
    const message = await wrapFor(file(key.toPublic()));
    expect(packetsOf(message)).toEqual([
      { tag: 1, version: 3 },
      { tag: 18, version: 1 },
    ]);
    await opens(message, key);
  });

  test("for version 6 keys are of version 2", async () => {
    const key = await makeKey({ type: "curve25519", config: { v6Keys: true, aeadProtect: true } });
    const message = await wrapFor(file(key.toPublic()));
    expect(packetsOf(message)).toEqual([
      { tag: 1, version: 6 },
      { tag: 18, version: 2 },
    ]);
    await opens(message, key);
  });

  test("differ each time, although the options are the same", async () => {
    const [wrapper] = await prepare([file(alice.toPublic())], SETTINGS);
    expect(await wrapper?.wrap(OPTIONS)).not.toEqual(await wrapper?.wrap(OPTIONS));
  });

  test("are for the key that is valid, where expired ones stand beside it", async () => {
    const old = await makeKey({ date: new Date("2001-01-01"), keyExpirationTime: 60 });
    await opens(await wrapFor(file(old.toPublic(), alice.toPublic())), alice);
  });
});

describe("recipients that can't be used", () => {
  const refused = async (recipient: string, text: RegExp) =>
    expect(prepare([recipient], SETTINGS)).rejects.toMatchObject({
      code: "BAD_RECIPIENT",
      message: expect.stringMatching(text),
    });

  test("a secret key, protected or not", async () => {
    await refused(file(alice), /secret key/);
    await refused(file(alice.armor()), /secret key/);
    const locked = await encryptKey({ privateKey: alice, passphrase: "secret" });
    await refused(file(locked), /secret key/);
  });

  test("two keys in a file", async () =>
    refused(file(alice.toPublic(), bob.toPublic()), /several keys: 0x[0-9a-f]{40} \(Alice/));

  test("an expired key", async () => {
    const key = await makeKey({ date: new Date("2001-01-01"), keyExpirationTime: 60 });
    await refused(file(key.toPublic()), /expired on 2001-01-01(?!T)/);
  });

  test("a revoked key", async () => {
    const { publicKey } = await revokeKey({ key: alice, format: "object" });
    await refused(file(publicKey), /is revoked/);
  });

  test("a key for signing only", async () => {
    const key = await makeKey({ subkeys: [] });
    await refused(file(key.toPublic()), /no valid encryption subkey/);
  });

  test("a key that is too short", async () => {
    const key = await makeKey({ type: "rsa", rsaBits: 1024, config: { minRSABits: 1024 } });
    await refused(file(key.toPublic()), /no valid encryption subkey/);
  });

  test.each([
    ["text", "hello"],
    ["a space", " "],
    ["a certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"],
    ["damaged armour", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDM\n"],
    ["a key that is cut off", "\x99\x01"],
  ])("a file with %s", async (_, content) => refused(file(content), /not a well-formed OpenPGP public key/));

  test("a file that is too large", async () => refused(file("x".repeat(2 << 20)), /larger than/));

  test("a folder, and a name nobody knows, with gpg missing", async () => {
    const settings = { ...SETTINGS, environment: { PATH: folder } };
    mkdirSync(join(folder, "empty"));
    for (const recipient of [join(folder, "empty"), "alice@example.org", "--list-keys"]) {
      await expect(prepare([recipient], settings)).rejects.toMatchObject({
        code: "BAD_RECIPIENT",
        message: expect.stringMatching(/is not a file, and gpg.* is not installed/),
        hint: expect.stringContaining("gpg --export"),
      });
    }
  });
});
