import type { Bytes } from "../../encoding/bytes.ts";
import type { RecipientInfo } from "../scheme.ts";
import { parseMessage } from "./message.ts";
import { algorithmName } from "./session-key-packet.ts";

/** Lists the recipients' algorithm, and their key ID or fingerprint unless it is hidden; see {@link DescribeScheme}. */
export function describe(packet: Bytes): readonly RecipientInfo[] {
  return parseMessage(packet).recipients.map(({ algorithm, keyId }) => ({
    algorithm: algorithmName(algorithm),
    ...(keyId === undefined ? {} : { id: `0x${keyId}` }),
  }));
}
