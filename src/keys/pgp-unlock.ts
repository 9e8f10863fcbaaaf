import { PieceBudget } from "../budget.ts";
import * as LIMITS from "../limits.ts";
import { config, readKeys, SecretKeyPacket, SecretSubkeyPacket } from "../openpgp/openpgp.ts";
import type { PgpKeyring, Unusable } from "./keyset.ts";

/** Loaded only for OpenPGP keys: openpgp.js is large. */

export type SecretPacket = SecretKeyPacket | SecretSubkeyPacket;

/** openpgp.js also takes the configuration, which its type omits. */
type Unlock = (passphrase: string, settings: typeof config) => Promise<void>;

const SETTINGS = { ...config, maxArgon2MemoryExponent: LIMITS.argon2MemoryExponent };

/**
 * Unlocks a protected key.
 * @param beforeEach called before each key derivation
 * @returns why the key can't be used; undefined when it can
 */
export async function unlockPacket(
  packet: SecretPacket,
  passphrases: PgpKeyring["passphrases"],
  beforeEach: () => void,
): Promise<Unusable | undefined> {
  if (packet.isMissingSecretKeyMaterial()) {
    const reason =
      "its secret part is missing (on a smart card, for example), or protected in an unknown way";
    return { reason };
  }
  if (argon2Work(packet) > LIMITS.argon2Work)
    return { reason: "its passphrase is protected with more Argon2 work than is allowed" };
  if (passphrases.length === 0)
    return { reason: "it is protected with a passphrase, and none was given", isLocked: true };
  const decrypt = packet.decrypt.bind(packet) as Unlock;
  for (const passphrase of passphrases) {
    beforeEach();
    try {
      await decrypt(Buffer.from(passphrase.bytes).toString("utf8"), SETTINGS);
      return undefined;
    } catch {
      // Only the error text of openpgp.js distinguishes a wrong passphrase from an outdated protection.
    }
  }
  return { reason: "it is protected, and no passphrase given unlocks it", isLocked: true };
}

/** Members of a protected key packet that openpgp.js's types omit (RFC 9580 §3.7.1.4). */
interface Protected {
  readonly s2k?: { readonly type: string; readonly t: number; readonly encodedM: number } | null;
}

/** Passes times KiB of the key's Argon2, 0 for other derivations. openpgp.js bounds the memory alone. */
function argon2Work(packet: SecretPacket): number {
  const { s2k } = packet as unknown as Protected;
  return s2k?.type === "argon2" ? s2k.t * 2 ** s2k.encodedM : 0;
}

/**
 * Why a keyring's passphrases unlock none of its secret keys. Undefined if they unlock one, and also if this can't be found
 * out here: opening a layer reports every other fault.
 */
export async function keyringLock({ data, passphrases }: PgpKeyring): Promise<Unusable | undefined> {
  const budget = new PieceBudget({ cpuMs: LIMITS.keyDerivationCpuMs });
  let lock: Unusable | undefined;
  for (const packet of await secretPackets(data)) {
    if (packet.isDecrypted() || budget.isSpent) return undefined;
    const end = budget.begin();
    const refusal = await unlockPacket(packet, passphrases, () => {});
    end();
    if (refusal === undefined) return undefined;
    if (refusal.isLocked) lock = refusal;
  }
  return lock;
}

async function secretPackets(data: Uint8Array): Promise<SecretPacket[]> {
  try {
    // Armour is ASCII, and the first bit of a packet is always set.
    const isBinary = (data[0] ?? 0) >= 0x80;
    const keys = isBinary
      ? await readKeys({ binaryKeys: data })
      : await readKeys({ armoredKeys: Buffer.from(data).toString("latin1") });
    return keys.flatMap((key) => key.getKeys().map(({ keyPacket }) => keyPacket)).filter(isSecret);
  } catch {
    return [];
  }
}

function isSecret(packet: unknown): packet is SecretPacket {
  return packet instanceof SecretKeyPacket || packet instanceof SecretSubkeyPacket;
}
