import type { Bytes } from "../../encoding/bytes.ts";
import type { RecipientInfo } from "../scheme.ts";
import { describeRecipient, parseMessage } from "./message.ts";

/** Lists the recipients' hash and key size, which is all that a packet says; see {@link DescribeScheme}. */
export function describe(packet: Bytes): readonly RecipientInfo[] {
  return parseMessage(packet).map((recipient) => ({
    algorithm: "hash" in recipient ? describeRecipient(recipient) : "unknown",
  }));
}
