import * as LIMITS from "../../limits.ts";
import {
  AEADEncryptedDataPacket,
  CompressedDataPacket,
  config,
  decrypt,
  Message,
  PacketList,
  SymEncryptedIntegrityProtectedDataPacket,
} from "../../openpgp/openpgp.ts";
import { CIPHERS } from "./algorithms.ts";
import type { EncryptedData } from "./message.ts";
import type { SessionKey } from "./session-key.ts";

/** openpgp.js's packets also take the configuration, which their types omit. */
type Read = (body: Uint8Array, settings: typeof config) => Promise<void>;

/** gpg compresses once. openpgp.js would never stop at a packet that inflates to itself. */
class CompressedTwice extends CompressedDataPacket {
  override async read(): Promise<void> {
    throw new Error("compressed data in compressed data");
  }
}

class CompressedOnce extends CompressedDataPacket {
  override async read(body: Uint8Array): Promise<void> {
    const read = super.read.bind(this) as Read;
    await read(body, { ...SETTINGS, additionalAllowedPackets: [CompressedTwice] });
  }
}

const SETTINGS = {
  ...config,
  maxDecompressedMessageSize: LIMITS.pgpContentBytes,
  additionalAllowedPackets: [CompressedOnce],
};

/**
 * Decrypts to the literal data (RFC 9580 §5.9), which may be compressed and signed. The signature is not checked.
 * @returns null for a wrong key, changed data and data of another kind, which look alike
 */
export async function openContent(
  data: EncryptedData,
  { cipher, key }: SessionKey,
): Promise<Uint8Array | null> {
  const algorithm = CIPHERS.get(cipher)?.name;
  if (algorithm === undefined) return null;
  try {
    const message = await messageOf(data);
    const opened = await decrypt({
      message,
      sessionKeys: { data: key, algorithm },
      format: "binary",
      config: SETTINGS,
    });
    return opened.data;
  } catch {
    return null;
  }
}

async function messageOf({ kind, body }: EncryptedData): Promise<Message<Uint8Array>> {
  const packet =
    kind === "gnupg-aead" ? new AEADEncryptedDataPacket() : new SymEncryptedIntegrityProtectedDataPacket();
  await packet.read(body);
  const packets = new PacketList<typeof packet>();
  packets.push(packet);
  return new Message(packets);
}
