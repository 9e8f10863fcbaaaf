import { DecoderError } from "../errors.ts";
import { KEYS_PREFIX } from "../spec/annotations.ts";
import type { RecipientInfo } from "./scheme.ts";
import { schemeOf } from "./schemes.ts";
import { packetsOf } from "./unwrap.ts";

export interface PacketInfo {
  /** The annotation's suffix: "jwe", "provider.kms". */
  readonly scheme: string;
  readonly recipients: readonly RecipientInfo[];
  /** Why the packet can't be read, if so. */
  readonly problem?: string;
}

/** For whom a layer is encrypted, as far as its annotations tell without a key. Malformed packets are told, not thrown. */
export async function describeLayer(annotations: Readonly<Record<string, string>>): Promise<PacketInfo[]> {
  const packets: PacketInfo[] = [];
  for (const [name, value] of Object.entries(annotations)) {
    if (!name.startsWith(KEYS_PREFIX)) continue;
    const scheme = name.slice(KEYS_PREFIX.length);
    const row = schemeOf(scheme);
    if (row === undefined) {
      packets.push({ scheme, recipients: [], problem: "of no known scheme" });
      continue;
    }
    const { describe } = await row.describe();
    for (const packet of packetsOf(scheme, value)) {
      if (packet === null) packets.push({ scheme, recipients: [], problem: "it is no base64" });
      else packets.push(await describePacket(scheme, () => describe(packet)));
    }
  }
  return packets;
}

type Described = readonly RecipientInfo[] | Promise<readonly RecipientInfo[]>;

async function describePacket(scheme: string, describe: () => Described): Promise<PacketInfo> {
  try {
    return { scheme, recipients: await describe() };
  } catch (error) {
    return {
      scheme,
      recipients: [],
      problem: error instanceof DecoderError ? error.message : "it can't be read",
    };
  }
}
