import type { Bytes } from "../../encoding/bytes.ts";
import type { RecipientInfo } from "../scheme.ts";
import { parseJwe } from "./message.ts";
import { label } from "./recipient.ts";

/** Lists the recipients' `alg` and `kid`; see {@link DescribeScheme}. */
export function describe(packet: Bytes): readonly RecipientInfo[] {
  return parseJwe(packet).recipients.map(({ header }) => ({
    algorithm: label(header["alg"]),
    ...(header["kid"] === undefined ? {} : { id: label(header["kid"]) }),
  }));
}
