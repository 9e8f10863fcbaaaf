import type { Bytes } from "../encoding/bytes.ts";
import { DecoderError } from "../errors.ts";
import { KEYS_PREFIX } from "../spec/annotations.ts";
import type { KnownRecipients } from "./known-recipients.ts";
import type { DescribeScheme, RecipientInfo } from "./scheme.ts";
import { schemeOf } from "./schemes.ts";
import { packetsOf } from "./unwrap.ts";

export interface PacketInfo {
  /** The annotation's suffix: "jwe", "provider.kms". */
  readonly scheme: string;
  readonly recipients: readonly RecipientInfo[];
  /** Why the packet can't be read. Undefined when it can. */
  readonly problem?: string;
}

/**
 * `SCHEME:ID` of a recipient.
 * @param text in that form, or `SCHEME: ALGORITHM ID` as `inspect` and `rewrap` print it
 */
export function recipientName(text: string): string {
  return text.replace(/^([^\s:]+):\s+(?=\S)(?:.+\s(?=\(unnamed\)$)|\S+\s+(?=\S))/, "$1:");
}

/** Replaces the id of a recipient that has none. */
export const UNNAMED = "(unnamed)";

/** The recipients of some packets: "jwe:KID", or the scheme alone if a packet can't be read. */
export function recipientNames(packets: readonly PacketInfo[]): string[] {
  return packets.flatMap(({ scheme, recipients }) =>
    recipients.length === 0 ? [scheme] : recipients.map(({ id }) => `${scheme}:${id || UNNAMED}`),
  );
}

/**
 * Lists a layer's recipients, as far as its annotations name them without a key. A malformed packet is reported,
 * not thrown.
 * @param known public keys to compare the recipients with
 */
export async function describeLayer(
  annotations: Readonly<Record<string, string>>,
  known?: KnownRecipients,
): Promise<PacketInfo[]> {
  const packets: PacketInfo[] = [];
  for (const [annotation, value] of Object.entries(annotations)) {
    if (!annotation.startsWith(KEYS_PREFIX)) continue;
    const scheme = annotation.slice(KEYS_PREFIX.length);
    const use = schemeOf(scheme);
    if (use === undefined) {
      packets.push({ scheme, recipients: [], problem: "it belongs to no known scheme" });
      continue;
    }
    const { describe } = await use.row.describe();
    for (const packet of packetsOf(scheme, value))
      packets.push({ scheme, ...(await describePacket(packet, describe)) });
  }
  return known === undefined ? packets : packets.map((packet) => withFiles(packet, known));
}

function withFiles(packet: PacketInfo, known: KnownRecipients): PacketInfo {
  const recipients = packet.recipients.map((recipient) => {
    const files = known.filesOf(packet.scheme, recipient);
    return files.length === 0 ? recipient : { ...recipient, files };
  });
  return { ...packet, recipients };
}

async function describePacket(
  packet: Bytes | null,
  describe: DescribeScheme["describe"],
): Promise<Omit<PacketInfo, "scheme">> {
  if (packet === null) return { recipients: [], problem: "it is not valid base64" };
  try {
    return { recipients: await describe(packet) };
  } catch (error) {
    const problem = error instanceof DecoderError ? error.message : "it can't be read";
    return { recipients: [], problem };
  }
}
