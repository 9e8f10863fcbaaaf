import type { RecipientInfo } from "../scheme.ts";
import { describeRecipient, parseMessage } from "./message.ts";

/** The recipients' hash and key size, all that a packet tells; see {@link DescribeScheme}. */
export function describe(packet: Uint8Array<ArrayBuffer>): readonly RecipientInfo[] {
  return parseMessage(packet).map((recipient) => ({
    algorithm: "hash" in recipient ? describeRecipient(recipient) : "unknown",
  }));
}
