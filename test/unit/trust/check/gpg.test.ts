import { deflateSync } from "node:zlib";
import { createMessage, generateKey, type PrivateKey, reformatKey, revokeKey, sign } from "openpgp";
import { beforeAll, describe, expect, test } from "vitest";
import { verifyGpgMessage } from "../../../../src/trust/check/gpg.ts";
import { trustFile } from "./demand.ts";

const PAYLOAD = Buffer.from('{"critical":{}}');
const HOUR_MS = 3_600_000;
/** RFC 9580 §5.6, §9.4 and §4.2.1.3: the packet's tag, its algorithm, and the form of its length. */
const [COMPRESSED, ZLIB, FOUR_OCTETS] = [0xc8, 2, 0xff];

async function newKey(options: Partial<Parameters<typeof generateKey>[0]> = {}): Promise<PrivateKey> {
  const userIDs = [{ name: "Dev", email: "dev@example.test" }];
  const { privateKey } = await generateKey({ ...options, userIDs, format: "object" });
  return privateKey as PrivateKey;
}

async function signed(...keys: PrivateKey[]): Promise<Uint8Array> {
  const message = await createMessage({ binary: PAYLOAD });
  return (await sign({ message, signingKeys: keys, format: "binary" })) as Uint8Array;
}

const ring = (key: PrivateKey) => trustFile("ring.gpg", key.toPublic().write());

describe("an OpenPGP signature", () => {
  let dev: PrivateKey;
  let other: PrivateKey;

  beforeAll(async () => {
    [dev, other] = await Promise.all([newKey(), newKey()]);
  });

  test("by a key of a binary or an armored keyring holds, and gives what was signed", async () => {
    const message = await signed(dev);
    for (const keyring of [ring(dev), trustFile("ring.asc", dev.toPublic().armor())]) {
      const { content, fingerprint } = await verifyGpgMessage(message, [ring(other), keyring]);
      expect(Buffer.from(content)).toEqual(PAYLOAD);
      expect(fingerprint).toBe(dev.getFingerprint());
    }
  });

  test("by a key in the second block of a keyring's text holds, unless another block revokes it", async () => {
    const blocks = [other.toPublic().armor(), dev.toPublic().armor()];
    const judged = (texts: readonly string[]) =>
      verifyGpgMessage(message, [trustFile("ring.asc", texts.join(""))]);
    const message = await signed(dev);
    expect((await judged(blocks)).fingerprint).toBe(dev.getFingerprint());
    const { publicKey } = await revokeKey({ key: dev, format: "object" });
    const certificate = (await publicKey.getRevocationCertificate()) ?? "";
    await expect(judged([...blocks, certificate])).rejects.toThrow(/is expired or revoked/);
  });

  test("by a key that a later copy revokes or renews is judged by both copies", async () => {
    const message = await signed(dev);
    const { publicKey } = await revokeKey({ key: dev, format: "object" });
    const revoked = trustFile("revoked.gpg", publicKey.write());
    for (const keyrings of [
      [ring(dev), revoked],
      [revoked, ring(dev)],
    ])
      await expect(verifyGpgMessage(message, keyrings)).rejects.toThrow(/is expired or revoked/);
    const date = new Date(Date.now() - 48 * HOUR_MS);
    const old = await newKey({ date, keyExpirationTime: 47 * 3600 });
    const userIDs = [{ name: "Dev", email: "dev@example.test" }];
    const { privateKey } = await reformatKey({ privateKey: old, userIDs, format: "object" });
    const { fingerprint } = await verifyGpgMessage(await signed(privateKey), [ring(old), ring(privateKey)]);
    expect(fingerprint).toBe(old.getFingerprint());
  });

  test("by a key that a keyring also has as a private key with other subkeys holds", async () => {
    const dev = await newKey({ subkeys: [{}, {}] });
    const before = dev.toPublic();
    before.subkeys.pop();
    const keyring = trustFile("ring.asc", `${before.armor()}${dev.armor()}`);
    expect((await verifyGpgMessage(await signed(dev), [keyring])).fingerprint).toBe(dev.getFingerprint());
  });

  test("by a key that the policy does not name does not hold", async () => {
    await expect(verifyGpgMessage(await signed(other), [ring(dev)])).rejects.toMatchObject({
      code: "UNTRUSTED",
      message: expect.stringMatching(/not with one of the policy/),
    });
  });

  test("beside another signature does not hold, as with containers/image", async () => {
    await expect(verifyGpgMessage(await signed(dev, other), [ring(dev), ring(other)])).rejects.toThrow(
      /has 2 signatures instead of one/,
    );
  });

  test("over other bytes does not hold", async () => {
    const message = await signed(dev);
    const at = Buffer.from(message).indexOf(PAYLOAD);
    message[at + 3] = (message[at + 3] ?? 0) ^ 1;
    await expect(verifyGpgMessage(message, [ring(dev)])).rejects.toMatchObject({ code: "UNTRUSTED" });
  });

  test("by a key that has expired since does not hold", async () => {
    const date = new Date(Date.now() - 48 * HOUR_MS);
    const old = await newKey({ date, keyExpirationTime: 3600 });
    const message = await createMessage({ binary: PAYLOAD });
    const then = (await sign({ message, signingKeys: old, format: "binary", date })) as Uint8Array;
    await expect(verifyGpgMessage(then, [ring(old)])).rejects.toMatchObject({ code: "UNTRUSTED" });
  });

  test("by a key whose expiry was changed since holds as long as the key is valid now", async () => {
    const date = new Date(Date.now() - 48 * HOUR_MS);
    const old = await newKey({ date, keyExpirationTime: 3600 });
    const message = await createMessage({ binary: PAYLOAD });
    const then = (await sign({ message, signingKeys: old, format: "binary", date })) as Uint8Array;
    const judged = async (seconds: number) => {
      const [userIDs, since] = [[{ name: "Dev" }], new Date(Date.now() - HOUR_MS)];
      const renewal = { privateKey: old, userIDs, date: since, keyExpirationTime: seconds };
      const { privateKey } = await reformatKey({ ...renewal, format: "object" });
      return await verifyGpgMessage(then, [ring(privateKey)]);
    };
    expect((await judged(50 * 3600)).fingerprint).toBe(old.getFingerprint());
    await expect(judged(48 * 3600)).rejects.toThrow(/is expired or revoked/);
  });

  test.each([
    ["primary key", {}],
    ["subkey", { subkeys: [{ sign: true, keyExpirationTime: 7200 }] }],
  ])("ends with its %s", async (_what, options) => {
    const date = new Date(Math.floor(Date.now() / 1000) * 1000 - HOUR_MS);
    const key = await newKey({ date, keyExpirationTime: 3 * 3600, ...options });
    const { until } = await verifyGpgMessage(await signed(key), [ring(key)]);
    expect(until).toBe(date.getTime() + ("subkeys" in options ? 2 : 3) * HOUR_MS);
    expect((await verifyGpgMessage(await signed(dev), [ring(dev)])).until).toBeUndefined();
  });

  test("of content that was compressed holds up to 1 MiB", async () => {
    const signedOf = async (size: number) => {
      const message = await createMessage({ binary: new Uint8Array(size) });
      return (await sign({ message, signingKeys: dev, format: "binary" })) as Uint8Array;
    };
    const compressed = async (size: number): Promise<Uint8Array> => {
      const rest = (await signedOf(1_000_000)).length - 1_000_000;
      let inner = await signedOf(size - rest);
      // A number of a signature may have a byte less.
      while (inner.length !== size) inner = await signedOf(size - rest);
      const body = Buffer.concat([Buffer.of(ZLIB), deflateSync(inner)]);
      const head = Buffer.of(COMPRESSED, FOUR_OCTETS, 0, 0, 0, 0);
      head.writeUInt32BE(body.length, 2);
      return Buffer.concat([head, body]);
    };
    const sizeOf = async (size: number) =>
      (await verifyGpgMessage(await compressed(size), [ring(dev)])).content.length;
    expect(await sizeOf(1_048_576)).toBeGreaterThan(1_048_000);
    await expect(sizeOf(1_048_577)).rejects.toMatchObject({ code: "UNTRUSTED" });
  });

  test("by an RSA key of 2,048 bits holds, and by a shorter one does not", async () => {
    const judged = async (rsaBits: number) => {
      const key = await newKey({ type: "rsa", rsaBits, config: { minRSABits: rsaBits } });
      const message = await createMessage({ binary: PAYLOAD });
      const config = { minRSABits: rsaBits };
      const bytes = (await sign({ message, signingKeys: key, format: "binary", config })) as Uint8Array;
      return await verifyGpgMessage(bytes, [ring(key)]).then(
        () => "it holds",
        ({ code }) => code,
      );
    };
    expect(await judged(2048)).toBe("it holds");
    expect(await judged(2040)).toBe("UNTRUSTED");
  });

  test("that is not one is refused, and a keyring that is not one is the policy's fault", async () => {
    await expect(verifyGpgMessage(PAYLOAD, [ring(dev)])).rejects.toThrow(/not a well-formed OpenPGP/);
    await expect(verifyGpgMessage(await signed(dev), [trustFile("junk", "junk")])).rejects.toMatchObject({
      code: "BAD_KEY",
    });
  });
});
