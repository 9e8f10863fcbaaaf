import type { RecipientInfo } from "../scheme.ts";

/** A provider's packet has a format of its own, which names no recipients; see {@link DescribeScheme}. */
export function describe(): readonly RecipientInfo[] {
  return [{ algorithm: "known to the key provider only" }];
}
