import type { Bytes } from "../../encoding/bytes.ts";
import type { RecipientInfo } from "../scheme.ts";
import { readEnvelope } from "./envelope.ts";

/** Lists the recipients' algorithm, and their issuer and serial number or key ID; see {@link DescribeScheme}. */
export function describe(packet: Bytes): readonly RecipientInfo[] {
  return readEnvelope(packet).recipients.map(({ algorithm, id }) => ({
    algorithm,
    ...(id !== undefined && { id }),
  }));
}
