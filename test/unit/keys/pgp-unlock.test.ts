import { generateKey } from "openpgp";
import { expect, onTestFinished, test, vi } from "vitest";
import { keyringLock, type SecretPacket, unlockPacket } from "../../../src/keys/pgp-unlock.ts";
import { Secret } from "../../../src/secret.ts";

/** A key protected by Argon2: passes, and memory as a power of two in KiB. It records what it is decrypted with. */
function argon2Key(t: number, encodedM: number) {
  const settings: { maxArgon2MemoryExponent?: number }[] = [];
  const packet = {
    isMissingSecretKeyMaterial: () => false,
    s2k: { type: "argon2", t, encodedM },
    decrypt: async (_passphrase: string, given: { maxArgon2MemoryExponent?: number }) => {
      settings.push(given);
    },
  };
  return { packet: packet as unknown as SecretPacket, settings };
}

const unlock = (packet: SecretPacket) =>
  unlockPacket(packet, [new Secret(new Uint8Array(Buffer.from("passphrase")))], () => {});

test.each([
  [4, 18, undefined],
  [5, 18, /more Argon2 work than is allowed/],
  [64, 14, undefined],
  [65, 14, /more Argon2 work than is allowed/],
  [2 ** 20, 0, undefined],
  [2 ** 20 + 1, 0, /more Argon2 work than is allowed/],
])("%i passes over 2^%i KiB", async (t, encodedM, refused) => {
  const unusable = await unlock(argon2Key(t, encodedM).packet);
  if (refused === undefined) expect(unusable).toBeUndefined();
  else expect(unusable?.reason).toMatch(refused);
});

test("a keyring's lock is found in each of its forms", async () => {
  const userIDs = [{ name: "Dev" }];
  const { privateKey } = await generateKey({ userIDs, passphrase: "x", format: "object" });
  const binary = privateKey.write();
  // RFC 9580 §4.2: the legacy header of the first packet, with a length of two octets.
  const first = Buffer.from(privateKey.keyPacket.write());
  const header = Uint8Array.of(0x95, first.length >> 8, first.length);
  const legacy = Buffer.concat([header, binary.subarray(Buffer.from(binary).indexOf(first))]);
  const bytes = (data: string | Uint8Array) => new Uint8Array(Buffer.from(data as string));
  for (const data of [binary, legacy, privateKey.armor()]) {
    expect(await keyringLock({ data: bytes(data), origin: "ring", passphrases: [] })).toMatchObject({
      isLocked: true,
    });
  }
});

test("once deriving a keyring's keys has taken 10 s of processor time, no other is derived", async () => {
  const { privateKey } = await generateKey({
    userIDs: [{ name: "Dev" }],
    passphrase: "x",
    format: "binary",
  });
  const bytes = (data: string | Uint8Array) => new Uint8Array(Buffer.from(data as string));
  const keyring = { data: bytes(privateKey), origin: "ring", passphrases: [new Secret(bytes("y"))] };
  const lock = async (milliseconds: number) => {
    let user = 0;
    const clock = vi.spyOn(process, "cpuUsage").mockImplementation(() => {
      user += milliseconds * 1000;
      return { user, system: 0 };
    });
    onTestFinished(() => clock.mockRestore());
    return await keyringLock(keyring);
  };
  // It has two keys. Whether the second one is locked, too, is not found out.
  expect(await lock(10_000)).toMatchObject({ isLocked: true });
  expect(await lock(10_001)).toBeUndefined();
});

test("each passphrase is announced before it is tried", async () => {
  const { packet, settings } = argon2Key(1, 16);
  const passphrases = ["a", "b", "c"].map((text) => new Secret(new Uint8Array(Buffer.from(text))));
  const tried: number[] = [];
  const announce = () => void tried.push(settings.length);
  packet.decrypt = async () => {
    if (settings.push({}) < 2) throw new Error("wrong");
  };
  expect(await unlockPacket(packet, passphrases, announce)).toBeUndefined();
  expect(tried).toEqual([0, 1]);
});

test("openpgp.js may use 2^18 KiB", async () => {
  const { packet, settings } = argon2Key(1, 16);
  await unlock(packet);
  expect(settings.map((it) => it.maxArgon2MemoryExponent)).toEqual([18]);
});
