import type { Bytes } from "../../encoding/bytes.ts";
import { parseJsonObject } from "../../encoding/json.ts";
import { LENIENT } from "../../keys/recipient-certificate.ts";
import * as LIMITS from "../../system-limits.ts";
import type { RecipientInfo } from "../scheme.ts";
import { type JweRecipient, parseJwe } from "./message.ts";
import { label } from "./recipient.ts";
import { readRecipientKey } from "./recipient-key.ts";

/** Lists the recipients' `alg` and `kid`; see {@link DescribeScheme}. */
export function describe(packet: Bytes): readonly RecipientInfo[] {
  return parseJwe(packet).recipients.map(infoOf);
}

function infoOf({ header }: JweRecipient): RecipientInfo {
  const { alg, kid } = header;
  // A kid is given whole or not at all: two may differ only at the end, or in characters that a label replaces.
  const id = typeof kid === "string" ? kid : label(kid);
  const isNamed = kid !== undefined && id.length <= LIMITS.kidChars;
  return { algorithm: label(alg), ...(isNamed && { id }) };
}

/** A JWK's own `kid`, and the thumbprint. */
export async function idsOf(file: string): Promise<readonly string[]> {
  const { kid, thumbprint } = await readRecipientKey(file, LENIENT);
  return [kid, thumbprint];
}

/** RFC 7516 §5.1: nothing authenticates the list of recipients, so that it can lose some. */
export function without(packet: Bytes, isRemoved: (recipient: RecipientInfo) => boolean): Bytes | null {
  const kept = parseJwe(packet).recipients.map((recipient) => !isRemoved(infoOf(recipient)));
  if (kept.every((isKept) => isKept)) return packet;
  if (!kept.some((isKept) => isKept)) return null;
  // go-jose's `encrypted_key` beside the list is a copy of the first recipient's.
  const { recipients, encrypted_key: _copy, ...jwe } = parseJsonObject(packet) ?? {};
  const list = (recipients as unknown[]).filter((_, i) => kept[i]);
  return new TextEncoder().encode(JSON.stringify({ ...jwe, recipients: list }));
}
