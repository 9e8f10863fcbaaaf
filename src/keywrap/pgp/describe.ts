import type { Bytes } from "../../encoding/bytes.ts";
import type { Key } from "../../openpgp/openpgp.ts";
import type { RecipientInfo, WrapSettings } from "../scheme.ts";
import { readPackets, TAG, writePackets } from "./framing.ts";
import { parseMessage } from "./message.ts";
import { algorithmName, readSessionKeyPacket, type SessionKeyPacket } from "./session-key-packet.ts";

const PASSWORD: RecipientInfo = { algorithm: "a password" };

/**
 * Lists the recipients' algorithm, and their key ID or fingerprint unless it is hidden; see {@link DescribeScheme}. A
 * password opens the layer in other programs, so it counts as a recipient.
 */
export function describe(packet: Bytes): readonly RecipientInfo[] {
  const { recipients, passwords } = parseMessage(packet);
  return [...recipients.map(infoOf), ...Array.from({ length: passwords }, () => PASSWORD)];
}

function infoOf({ algorithm, keyId }: SessionKeyPacket): RecipientInfo {
  return { algorithm: algorithmName(algorithm), ...(keyId === undefined ? {} : { id: `0x${keyId}` }) };
}

/** The key IDs and fingerprints of all keys of a file or name, and of their subkeys. */
export async function idsOf(recipient: string, settings: WrapSettings): Promise<readonly string[]> {
  const { readRecipientKeys } = await import("./recipient-key.ts");
  return (await readRecipientKeys(recipient, settings)).flatMap(idsOfKey);
}

/** Like `idsOf`, for the one key that `encrypt` takes. In gpg, "alice" also matches malice@example.org. */
export async function idsOfOne(recipient: string, settings: WrapSettings): Promise<readonly string[]> {
  const { readNamedKey } = await import("./recipient-key.ts");
  return idsOfKey(await readNamedKey(recipient, settings));
}

function idsOfKey(key: Key): string[] {
  return key.getKeys().flatMap((it) => [`0x${it.getKeyID().toHex()}`, `0x${it.getFingerprint()}`]);
}

/** RFC 9580 §10.3: the encrypted data does not depend on the session key packets before it. */
export function without(packet: Bytes, isRemoved: (recipient: RecipientInfo) => boolean): Bytes | null {
  const packets = readPackets(packet);
  const kept = packets.filter(({ tag, body }) => {
    const recipient = tag === TAG.sessionKey ? readSessionKeyPacket(body) : undefined;
    return recipient === undefined || !isRemoved(infoOf(recipient));
  });
  if (kept.length === packets.length) return packet;
  return kept.some(({ tag }) => tag === TAG.sessionKey) ? writePackets(kept) : null;
}
