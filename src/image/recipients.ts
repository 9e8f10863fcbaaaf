import { describeLayer } from "../keywrap/describe.ts";
import type { RecipientInfo } from "../keywrap/scheme.ts";
import { KEYS_PREFIX } from "../spec/annotations.ts";

/** One recipient of a layer, as far as its wrapped key names it. */
interface Recipient extends RecipientInfo {
  /** The annotation's suffix: "jwe", "provider.kms". */
  readonly scheme: string;
}

/** How the recipients of a layer changed. */
export interface Recipients {
  readonly added: readonly Recipient[];
  readonly kept: readonly Recipient[];
  readonly removed: readonly Recipient[];
}

type Annotations = Readonly<Record<string, string>>;

/** Compares the wrapped keys of a layer before and after. */
export async function compareRecipients(before: Annotations, after: Annotations): Promise<Recipients> {
  const [old, now] = [packetsOf(before), packetsOf(after)];
  const removed = await recipientsOf(old.filter((packet) => !includes(now, packet)));
  const kept = await recipientsOf(old.filter((packet) => includes(now, packet)));
  const added = await recipientsOf(now.filter((packet) => !includes(old, packet)));
  // A recipient whose key was rewrapped has a new packet, but is still the same recipient.
  const stayed = added.filter((it) => removed.some((other) => isSame(it, other)));
  return {
    added: added.filter((it) => !stayed.includes(it)),
    kept: [...kept, ...stayed],
    removed: removed.filter((it) => !stayed.some((other) => isSame(it, other))),
  };
}

/** One wrapped key: the annotation's name, and the base64 between its commas. */
interface Packet {
  readonly name: string;
  readonly text: string;
}

function packetsOf(annotations: Annotations): Packet[] {
  return Object.entries(annotations)
    .filter(([name]) => name.startsWith(KEYS_PREFIX))
    .flatMap(([name, value]) => value.split(",").map((text) => ({ name, text })));
}

function includes(packets: readonly Packet[], { name, text }: Packet): boolean {
  return packets.some((other) => other.name === name && other.text === text);
}

async function recipientsOf(packets: readonly Packet[]): Promise<Recipient[]> {
  const found: Recipient[] = [];
  for (const { name, text } of packets) {
    for (const { scheme, recipients } of await describeLayer({ [name]: text })) {
      found.push(...recipients.map((recipient) => ({ scheme, ...recipient })));
    }
  }
  return found;
}

/** Two recipients without an id may be anybody, and count as different. */
function isSame(a: Recipient, b: Recipient): boolean {
  return a.id !== undefined && a.scheme === b.scheme && a.algorithm === b.algorithm && a.id === b.id;
}
