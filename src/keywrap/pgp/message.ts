import * as LIMITS from "../../limits.ts";
import { AEAD_MODES, CIPHERS } from "./algorithms.ts";
import { malformed, type Packet, readPackets, TAG } from "./framing.ts";
import { readSessionKeyPacket, type SessionKeyPacket } from "./session-key-packet.ts";

/** The encrypted part of a message. */
export interface EncryptedData {
  readonly kind: "seipd1" | "seipd2" | "gnupg-aead";
  /** RFC 9580 §9.3. Undefined in version 1, where the session key names the cipher. */
  readonly cipher: number | undefined;
  readonly body: Uint8Array<ArrayBuffer>;
}

export interface EncryptedMessage {
  readonly recipients: readonly SessionKeyPacket[];
  /** How many passwords open it as well. */
  readonly passwords: number;
  readonly data: EncryptedData;
}

/** RFC 9580 §5.8 and §5.14: these packets are ignored everywhere. */
const IGNORED: ReadonlySet<number> = new Set([TAG.marker, TAG.padding]);

/**
 * Reads the structure of an encrypted message (RFC 9580 §10.3): session keys, then a single packet of encrypted data.
 * @throws DecoderError BAD_PACKET, also for a message without integrity protection or for passwords only
 */
export function parseMessage(bytes: Uint8Array<ArrayBuffer>): EncryptedMessage {
  const packets = readPackets(bytes).filter(({ tag }) => !IGNORED.has(tag));
  const last = packets.pop();
  if (last === undefined) throw malformed("it is empty");
  const data = readEncryptedData(last);
  const stranger = packets.find(({ tag }) => tag !== TAG.sessionKey && tag !== TAG.passwordSessionKey);
  if (stranger) throw malformed(`it has an OpenPGP packet of type ${stranger.tag} before its encrypted data`);
  const forKeys = packets.filter(({ tag }) => tag === TAG.sessionKey);
  if (forKeys.length === 0) throw malformed("it is not encrypted for any key, at most for a password");
  const recipients = forKeys.flatMap(({ body }) => readSessionKeyPacket(body) ?? []).filter(fitsTo(data));
  if (recipients.length === 0) throw malformed("its OpenPGP session keys and data have different versions");
  return { recipients, passwords: packets.length - forKeys.length, data };
}

/** RFC 9580 §10.3.2.1: version 6 session keys belong to version 2 data, version 3 ones to all other data. */
function fitsTo(data: EncryptedData): (recipient: SessionKeyPacket) => boolean {
  const version = data.kind === "seipd2" ? 6 : 3;
  return (recipient) => recipient.version === version;
}

function readEncryptedData({ tag, body }: Packet): EncryptedData {
  if (tag === TAG.unprotectedData) throw malformed("it is an OpenPGP message without integrity protection");
  if (tag !== TAG.protectedData && tag !== TAG.gnupgAead)
    throw malformed("it does not end with encrypted OpenPGP data");
  if (body.length > LIMITS.pgpContentBytes)
    throw malformed("its encrypted OpenPGP data is larger than any layer key");
  const [version, cipher, mode] = body;
  if (tag === TAG.protectedData && version === 1) return { kind: "seipd1", cipher: undefined, body };
  if (version !== (tag === TAG.protectedData ? 2 : 1)) {
    throw malformed("its encrypted OpenPGP data has an unknown version");
  }
  if (!CIPHERS.has(cipher ?? 0) || !AEAD_MODES.has(mode ?? 0)) {
    throw malformed(`its OpenPGP cipher ${cipher} with mode ${mode} is not allowed`);
  }
  return { kind: tag === TAG.protectedData ? "seipd2" : "gnupg-aead", cipher, body };
}
