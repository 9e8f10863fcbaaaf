import { expect, test } from "vitest";
import { type SecretPacket, unlockPacket } from "../../../src/keys/pgp-unlock.ts";
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
])("%i passes over 2^%i KiB", async (t, encodedM, refused) => {
  const unusable = await unlock(argon2Key(t, encodedM).packet);
  if (refused === undefined) expect(unusable).toBeUndefined();
  else expect(unusable?.reason).toMatch(refused);
});

test("openpgp.js may use 2^18 KiB", async () => {
  const { packet, settings } = argon2Key(1, 16);
  await unlock(packet);
  expect(settings.map((it) => it.maxArgon2MemoryExponent)).toEqual([18]);
});
