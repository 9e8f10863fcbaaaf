import type { Bytes } from "../../encoding/bytes.ts";
import type { RecipientInfo } from "../scheme.ts";
import { describeRecipient, parseMessage } from "./message.ts";

/** Lists the recipients' hash and key size, which is all that a packet says; see {@link DescribeScheme}. */
export function describe(packet: Bytes): readonly RecipientInfo[] {
  return parseMessage(packet).map((recipient) => ({
    algorithm: "hash" in recipient ? describeRecipient(recipient) : "unknown",
  }));
}

/** Packets name no recipients. */
export async function idsOf(): Promise<readonly string[]> {
  return [];
}

/** All recipients look alike, so that a packet loses none of them or all. */
export function without(packet: Bytes, isRemoved: (recipient: RecipientInfo) => boolean): Bytes | null {
  return describe(packet).some((recipient) => !isRemoved(recipient)) ? packet : null;
}
