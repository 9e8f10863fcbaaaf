import {
  config,
  createMessage,
  encrypt,
  encryptKey,
  enums,
  type PartialConfig,
  type PrivateKey,
  PublicKeyEncryptedSessionKeyPacket,
  revokeKey,
} from "openpgp";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { unwrap } from "../../../../src/keywrap/pgp/unwrap.ts";
import {
  bytes,
  contextWith,
  keyring,
  literal,
  makeKey,
  OPTIONS,
  packet,
  protectedData,
  seal,
} from "./messages.ts";

let alice: PrivateKey;
let bob: PrivateKey;

beforeAll(async () => {
  alice = await makeKey();
  bob = await makeKey();
});

const opened = async (message: Uint8Array<ArrayBuffer>, context = contextWith(keyring(alice))) =>
  (await unwrap(message, context))?.options.bytes;

async function messageFor(key: PrivateKey, settings: PartialConfig = {}): Promise<Uint8Array<ArrayBuffer>> {
  const message = await createMessage({ binary: new Uint8Array(OPTIONS) });
  return bytes(await encrypt({ message, encryptionKeys: key, format: "binary", config: settings }));
}

describe("keys of every kind open what is encrypted for them", () => {
  test.each([
    ["RSA-2048", { type: "rsa", rsaBits: 2048 }],
    ["RSA-4096", { type: "rsa", rsaBits: 4096 }],
    ["P-256", { type: "ecc", curve: "nistP256" }],
    ["P-384", { type: "ecc", curve: "nistP384" }],
    ["P-521", { type: "ecc", curve: "nistP521" }],
    ["Curve25519, as GnuPG has it", { type: "ecc", curve: "curve25519Legacy" }],
    ["X25519", { type: "curve25519" }],
    ["X448", { type: "curve448" }],
    ["X25519, version 6", { type: "curve25519", config: { v6Keys: true } }],
    ["X448, version 6", { type: "curve448", config: { v6Keys: true } }],
    ["RSA, version 6", { type: "rsa", rsaBits: 2048, config: { v6Keys: true } }],
  ] as const)("%s", async (_, options) => {
    const key = await makeKey(options);
    for (const hidden of [false, true]) {
      const context = contextWith(keyring(key));
      expect(Buffer.from((await opened(await seal(key, literal(), { hidden }), context)) ?? [])).toEqual(
        OPTIONS,
      );
      expect(context.operations()).toBe(1);
    }
  });
});

test("openpgp.js's copy of a session key is zeroed", async () => {
  const decrypt = vi.spyOn(PublicKeyEncryptedSessionKeyPacket.prototype, "decrypt");
  onTestFinished(() => decrypt.mockRestore());
  await opened(await seal(alice, literal()));
  expect(decrypt.mock.contexts).toEqual([expect.objectContaining({ sessionKey: new Uint8Array(32) })]);
});

describe("data of every kind", () => {
  const { aes128, aes192, aes256, tripledes, cast5 } = enums.symmetric;
  test.each([
    ["AES-128", aes128],
    ["AES-192", aes192],
    ["AES-256", aes256],
    ["TripleDES", tripledes],
    ["CAST5", cast5],
  ])("version 1, %s", async (_, preferredSymmetricAlgorithm) => {
    for (const options of [{ type: "rsa", rsaBits: 2048 }, {}] as const) {
      const key = await makeKey({ ...options, config: { preferredSymmetricAlgorithm } });
      const context = contextWith(keyring(key));
      const message = await messageFor(key, { preferredSymmetricAlgorithm });
      expect(Buffer.from((await opened(message, context)) ?? [])).toEqual(OPTIONS);
    }
  });

  const { eax, ocb, gcm } = enums.aead;
  test.each([
    ["EAX", eax],
    ["OCB", ocb],
    ["GCM", gcm],
  ])("version 2, %s", async (_, preferredAEADAlgorithm) => {
    const settings = { aeadProtect: true, preferredAEADAlgorithm };
    for (const options of [{ type: "rsa", rsaBits: 2048 }, { type: "curve25519" }] as const) {
      const key = await makeKey({ ...options, config: { ...settings, v6Keys: true } });
      for (const aeadChunkSizeByte of [0, config.aeadChunkSizeByte]) {
        const context = contextWith(keyring(key));
        const message = await messageFor(key, { ...settings, aeadChunkSizeByte });
        expect(Buffer.from((await opened(message, context)) ?? [])).toEqual(OPTIONS);
      }
    }
  });

  test.each([
    ["ZIP", enums.compression.zip],
    ["ZLIB", enums.compression.zlib],
  ])("compressed by %s", async (_, preferredCompressionAlgorithm) => {
    const key = await makeKey({ config: { preferredCompressionAlgorithm } });
    const message = await messageFor(key, { preferredCompressionAlgorithm });
    expect(Buffer.from((await opened(message, contextWith(keyring(key)))) ?? [])).toEqual(OPTIONS);
  });

  test("a literal packet in parts", async () => {
    const content = bytes([0x62, 0, 0, 0, 0, 0], OPTIONS);
    const plain = bytes([0xcb, 0xe1], content.slice(0, 2), [0xe4], content.slice(2, 18), [
      content.length - 18,
    ]);
    expect(Buffer.from((await opened(await seal(alice, bytes(plain, content.slice(18))))) ?? [])).toEqual(
      OPTIONS,
    );
  });

  test("a literal packet that goes to the end", async () => {
    const plain = bytes([0xaf, 0x62, 0, 0, 0, 0, 0], OPTIONS);
    expect(Buffer.from((await opened(await seal(alice, plain))) ?? [])).toEqual(OPTIONS);
  });
});

describe("keyrings", () => {
  let message: Uint8Array<ArrayBuffer>;
  beforeAll(async () => {
    message = await seal(alice, literal());
  });
  const opens = async (...rings: Parameters<typeof contextWith>) => {
    const context = contextWith(...rings);
    expect(Buffer.from((await opened(message, context)) ?? [])).toEqual(OPTIONS);
    return context;
  };

  test("ASCII-armoured", async () => opens(keyring(bytes(Buffer.from(alice.armor())))));
  test("of several keys, the last one's", async () => opens(keyring(bytes(bob.write(), alice.write()))));
  test("of several armoured blocks", async () =>
    opens(keyring(bytes(Buffer.from(`${bob.armor()}\n${alice.armor()}`)))));
  test("with something unknown in it", async () => opens(keyring(bytes(packet(60, [1]), alice.write()))));
  test("with a damaged key before", async () =>
    opens(keyring(bytes(packet(5, [4, 0, 0, 0, 0, 1, 9]), alice.write()))));
  test("beside one that is no keyring", async () => opens(keyring(bytes([0x95, 9])), keyring(alice)));

  test("of the subkey alone, without the primary key's secret", async () => {
    const stripped = await makeKey();
    if (!("makeDummy" in stripped.keyPacket)) throw new Error("no secret key");
    stripped.keyPacket.makeDummy();
    const sealed = await seal(stripped, literal());
    expect(Buffer.from((await opened(sealed, contextWith(keyring(stripped)))) ?? [])).toEqual(OPTIONS);
  });

  test("whose key expired years ago, or was revoked", async () => {
    const expired = await makeKey({ date: new Date("2001-01-01"), keyExpirationTime: 60 });
    const revoked = (await revokeKey({ key: alice, format: "object" })).privateKey;
    await opens(keyring(revoked));
    const old = await createMessage({ binary: new Uint8Array(OPTIONS) });
    const date = new Date("2001-01-01T00:00:30Z");
    const sealed = bytes(await encrypt({ message: old, encryptionKeys: expired, date, format: "binary" }));
    expect(Buffer.from((await opened(sealed, contextWith(keyring(expired)))) ?? [])).toEqual(OPTIONS);
  });

  test("the opener is named by keyring and key ID, and its recipient too", async () => {
    const id = alice.subkeys[0]?.getKeyID().toHex();
    const result = await unwrap(message, contextWith(keyring(alice)));
    expect(result).toMatchObject({ recipient: `ECDH 0x${id}`, key: `ring 0x${id}` });
  });
});

describe("no more work than needed", () => {
  test("one operation with 20 recipients and 20 other keys", async () => {
    const others = await Promise.all(Array.from({ length: 20 }, () => makeKey()));
    const message = await seal([...others, alice], literal());
    const strangers = await Promise.all(Array.from({ length: 20 }, () => makeKey()));
    const context = contextWith(...strangers.map((key) => keyring(key)), keyring(alice));
    expect(Buffer.from((await opened(message, context)) ?? [])).toEqual(OPTIONS);
    expect(context.operations()).toBe(1);
  });

  test("no operation without the key, and every recipient is told", async () => {
    const context = contextWith(keyring(await makeKey()));
    expect(await unwrap(await seal([alice, bob], literal()), context)).toBeNull();
    expect(context.operations()).toBe(0);
    const ids = [alice, bob].map((key) => `ECDH 0x${key.subkeys[0]?.getKeyID().toHex()}`);
    expect(context.attempts.map(({ recipient }) => recipient)).toEqual(ids);
  });

  test("a hidden recipient is tried with keys of its algorithm and size alone", async () => {
    const kinds = [
      { type: "rsa", rsaBits: 2048 },
      { type: "rsa", rsaBits: 3072 },
      { type: "ecc", curve: "nistP384" },
      { type: "ecc", curve: "curve25519Legacy" },
      { type: "curve25519" },
    ] as const;
    const rings = (await Promise.all(kinds.map((kind) => makeKey(kind)))).map((key) => keyring(key));
    const context = contextWith(...rings, keyring(bob), keyring(alice));
    const message = await seal(alice, literal(), { hidden: true });
    expect(Buffer.from((await opened(message, context)) ?? [])).toEqual(OPTIONS);
    expect(context.operations()).toBe(2);
    expect(context.attempts).toMatchObject([{ key: `ring 0x${bob.subkeys[0]?.getKeyID().toHex()}` }]);
  });

  test("a key is not tried for an algorithm that is not its own", async () => {
    const context = contextWith(keyring(alice));
    const keyId = Buffer.from(alice.subkeys[0]?.getKeyID().toHex() ?? "", "hex");
    const asRsa = packet(1, [3], keyId, [1, 8, 0], new Uint8Array(256));
    expect(await unwrap(bytes(asRsa, protectedData(new Uint8Array(32), literal())), context)).toBeNull();
    expect(context.operations()).toBe(0);
  });

  test("hidden RSA recipients are tried with keys of their size alone", async () => {
    const [small, large] = await Promise.all([
      makeKey({ type: "rsa", rsaBits: 2048 }),
      makeKey({ type: "rsa", rsaBits: 3072 }),
    ]);
    for (const key of [small, large]) {
      const context = contextWith(keyring(small), keyring(large));
      expect(await opened(await seal(key, literal(), { hidden: true }), context)).toBeDefined();
      expect(context.operations()).toBe(1);
    }
  });

  test("without a keyring nothing is tried", async () => {
    const context = contextWith();
    expect(await unwrap(await seal(alice, literal()), context)).toBeNull();
    expect(context.attempts).toMatchObject([{ outcome: "there is no OpenPGP key here" }]);
  });

  test("once the budget is spent it ends", async () => {
    const spent = new Error("spent");
    const context = {
      ...contextWith(keyring(alice)),
      spend: () => {
        throw spent;
      },
    };
    await expect(unwrap(await seal(alice, literal()), context)).rejects.toBe(spent);
  });

  test("a keyring without a key for decryption is told", async () => {
    const context = contextWith(keyring(bytes(packet(13, [65]))));
    expect(await unwrap(await seal(alice, literal()), context)).toBeNull();
    expect(context.attempts).toContainEqual({ key: "ring", outcome: "it has no key that can decrypt" });
  });
});

describe("protected keys", () => {
  const passphrase = "correct horse, größer";
  let message: Uint8Array<ArrayBuffer>;
  let locked: PrivateKey;

  beforeAll(async () => {
    message = await seal(alice, literal());
    locked = await encryptKey({ privateKey: alice, passphrase });
  });

  test("open with their passphrase among others", async () => {
    const context = contextWith(keyring(locked, "wrong", passphrase));
    expect(Buffer.from((await opened(message, context)) ?? [])).toEqual(OPTIONS);
    // Two derivations, one decryption.
    expect(context.operations()).toBe(3);
  });

  test("are unlocked once for all packets and layers", async () => {
    const context = contextWith(keyring(locked, "wrong", passphrase));
    for (const sealed of [message, await seal(alice, literal())]) {
      expect(Buffer.from((await opened(sealed, context)) ?? [])).toEqual(OPTIONS);
    }
    expect(context.operations()).toBe(4);
  });

  test("are unlocked once for layers that are opened at the same time", async () => {
    const context = contextWith(keyring(locked, "wrong", passphrase));
    const both = await Promise.all([opened(message, context), opened(message, context)]);
    expect(both.map((options) => Buffer.from(options ?? []))).toEqual([OPTIONS, OPTIONS]);
    expect(context.operations()).toBe(4);
  });

  test("with another passphrase open nothing, and the attempt tells why", async () => {
    const context = contextWith(keyring(locked, "wrong"));
    for (let i = 0; i < 2; i++) expect(await unwrap(message, context)).toBeNull();
    expect(context.operations()).toBe(1);
    expect(context.attempts[0]?.outcome).toMatch(/passphrase/);
    expect(JSON.stringify(context.attempts)).not.toContain("wrong");
  });

  test("without a passphrase open nothing, and the attempt tells why", async () => {
    const context = contextWith(keyring(locked));
    expect(await unwrap(message, context)).toBeNull();
    expect(context.attempts).toMatchObject([
      { outcome: expect.stringMatching(/passphrase.*none was given/) },
    ]);
    expect(context.operations()).toBe(0);
  });

  test("are left alone where an unprotected one opens", async () => {
    const context = contextWith(keyring(locked, passphrase), keyring(alice));
    expect(Buffer.from((await opened(message, context)) ?? [])).toEqual(OPTIONS);
    expect(context.operations()).toBe(1);
  });

  test("of version 6, by Argon2 and AEAD", async () => {
    const settings = { v6Keys: true, aeadProtect: true, s2kType: enums.s2k.argon2 } as const;
    const key = await makeKey({ type: "curve25519", passphrase, config: settings });
    const context = contextWith(keyring(key, passphrase));
    expect(Buffer.from((await opened(await seal(key, literal()), context)) ?? [])).toEqual(OPTIONS);
  });

  test("that ask for more passes than are allowed stay locked, without any derivation", async () => {
    const params = { passes: 1, parallelism: 4, memoryExponent: 16 };
    const settings = { aeadProtect: true, s2kType: enums.s2k.argon2, s2kArgon2Params: params } as const;
    const privateKey = await encryptKey({ privateKey: alice, passphrase, config: settings });
    const bytes = privateKey.write();
    // RFC 9580 §3.7.1.4: type 4, 16 octets of salt, passes, parallelism, memory.
    const changed = bytes.map((byte, at) => {
      const isPasses = bytes[at - 17] === 4 && byte === 1 && bytes[at + 1] === 4 && bytes[at + 2] === 16;
      return isPasses ? 1_048_576 / 2 ** 16 + 1 : byte;
    });
    expect(changed).not.toEqual(bytes);
    const ring = { ...keyring(privateKey, passphrase), data: new Uint8Array(changed) };
    const context = contextWith(ring);
    expect(await opened(message, context)).toBeUndefined();
    expect(context.attempts).toContainEqual(
      expect.objectContaining({ outcome: expect.stringContaining("more Argon2 work") }),
    );
    expect(context.operations()).toBe(0);
  });

  test("that ask for more memory than is allowed stay locked", async () => {
    for (const [memoryExponent, opens] of [
      [18, true],
      [19, false],
    ] as const) {
      const settings = {
        aeadProtect: true,
        s2kType: enums.s2k.argon2,
        s2kArgon2Params: { passes: 1, parallelism: 4, memoryExponent },
        maxArgon2MemoryExponent: memoryExponent,
      } as const;
      const privateKey = await encryptKey({ privateKey: alice, passphrase, config: settings });
      const found = await opened(message, contextWith(keyring(privateKey, passphrase)));
      expect(found !== undefined).toBe(opens);
    }
  });
});
