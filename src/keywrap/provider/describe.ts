import type { RecipientInfo } from "../scheme.ts";

/** What a provider wrote is its own business: nothing can be told of it; see {@link DescribeScheme}. */
export function describe(_packet: Uint8Array<ArrayBuffer>): readonly RecipientInfo[] {
  return [{ algorithm: "known to the key provider only" }];
}
