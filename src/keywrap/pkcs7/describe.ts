import type { RecipientInfo } from "../scheme.ts";
import { readEnvelope } from "./envelope.ts";

/** For whom a packet is. See {@link DescribeScheme.describe}. @throws DecoderError BAD_PACKET */
export function describe(packet: Uint8Array<ArrayBuffer>): readonly RecipientInfo[] {
  return readEnvelope(packet).recipients.map(({ algorithm, id }) => ({
    algorithm,
    ...(id !== undefined && { id }),
  }));
}
