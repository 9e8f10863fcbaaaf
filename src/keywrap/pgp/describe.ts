import type { Bytes } from "../../encoding/bytes.ts";
import type { RecipientInfo, WrapSettings } from "../scheme.ts";
import { readPackets, TAG, writePackets } from "./framing.ts";
import { parseMessage } from "./message.ts";
import { algorithmName, readSessionKeyPacket, type SessionKeyPacket } from "./session-key-packet.ts";

/** Lists the recipients' algorithm, and their key ID or fingerprint unless it is hidden; see {@link DescribeScheme}. */
export function describe(packet: Bytes): readonly RecipientInfo[] {
  return parseMessage(packet).recipients.map(infoOf);
}

function infoOf({ algorithm, keyId }: SessionKeyPacket): RecipientInfo {
  return { algorithm: algorithmName(algorithm), ...(keyId === undefined ? {} : { id: `0x${keyId}` }) };
}

/** The key IDs and fingerprints of a key and its subkeys. */
export async function idsOf(recipient: string, settings: WrapSettings): Promise<readonly string[]> {
  const { readRecipientKeys } = await import("./recipient-key.ts");
  const keys = await readRecipientKeys(recipient, settings);
  return keys
    .flatMap((key) => key.getKeys())
    .flatMap((key) => [`0x${key.getKeyID().toHex()}`, `0x${key.getFingerprint()}`]);
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
