import type { RecipientInfo } from "../scheme.ts";
import { parseMessage } from "./message.ts";
import { algorithmName } from "./session-key-packet.ts";

/** The recipients' algorithm and key ID, or fingerprint, as far as they are not hidden; see {@link DescribeScheme}. */
export function describe(packet: Uint8Array<ArrayBuffer>): readonly RecipientInfo[] {
  return parseMessage(packet).recipients.map(({ algorithm, keyId }) => ({
    algorithm: algorithmName(algorithm),
    ...(keyId === undefined ? {} : { id: `0x${keyId}` }),
  }));
}
