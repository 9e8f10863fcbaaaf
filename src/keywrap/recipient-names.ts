import { DecoderError } from "../errors.ts";
import { UNNAMED } from "./describe.ts";
import type { WrapSettings } from "./scheme.ts";
import { parseRecipient, suffixOf } from "./wrap.ts";

/**
 * The names, such as "jwe:KID", by which an image may name a recipient.
 * @param recipient as for `encrypt`: "jwe:FILE"
 * @throws DecoderError USAGE, BAD_RECIPIENT
 */
export async function namesOf(recipient: string, settings: WrapSettings): Promise<ReadonlySet<string>> {
  const parsed = parseRecipient(recipient);
  const { row, value } = parsed;
  // Only the key provider knows which of its keys it is.
  if (row.isNamed) return new Set([`${suffixOf(parsed)}:${UNNAMED}`]);
  const { idsOf, idsOfOne = idsOf } = await row.describe();
  const ids = await idsOfOne(value, settings);
  if (ids.length > 0) return new Set(ids.map((id) => `${row.name}:${id}`));
  throw new DecoderError(
    "BAD_RECIPIENT",
    `${recipient} can't be compared: ${row.name} packets do not name their recipients`,
    { hint: `a file for --require-recipients can hold them as ${row.name}:${UNNAMED}` },
  );
}
