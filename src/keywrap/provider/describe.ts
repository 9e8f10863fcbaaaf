import type { Bytes } from "../../encoding/bytes.ts";
import type { RecipientInfo } from "../scheme.ts";

const UNKNOWN: RecipientInfo = { algorithm: "known to the key provider only" };

/** A provider's packet has a format of its own, which names no recipients; see {@link DescribeScheme}. */
export function describe(): readonly RecipientInfo[] {
  return [UNKNOWN];
}

/** Packets name no recipients. */
export async function idsOf(): Promise<readonly string[]> {
  return [];
}

/** A packet is for its provider alone. */
export function without(packet: Bytes, isRemoved: (recipient: RecipientInfo) => boolean): Bytes | null {
  return isRemoved(UNKNOWN) ? null : packet;
}
