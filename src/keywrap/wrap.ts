import { encodeBase64 } from "../encoding/base64.ts";
import { DecoderError } from "../errors.ts";
import { KEYS_PREFIX } from "../spec/annotations.ts";
import { describeLayer } from "./describe.ts";
import type { Wrapper, WrapSettings } from "./scheme.ts";
import { SCHEMES, type SchemeRow } from "./schemes.ts";

/** Wraps layers' private options for a fixed set of recipients of any schemes. */
export class LayerWrapper {
  readonly #wrappers: readonly Wrapper[];

  private constructor(wrappers: readonly Wrapper[]) {
    this.#wrappers = wrappers;
  }

  /**
   * Reads and checks all recipients, so that a wrong one stops the work before any layer is touched.
   * @param recipients in the forms of {@link recipientForms}; duplicates count once
   * @throws DecoderError BAD_RECIPIENT, USAGE
   */
  static async prepare(recipients: readonly string[], settings: WrapSettings): Promise<LayerWrapper> {
    const byScheme = new Map<string, string[]>();
    for (const recipient of new Set(recipients)) {
      const { row, value } = parseRecipient(recipient);
      byScheme.set(row.name, [...(byScheme.get(row.name) ?? []), value]);
    }
    if (byScheme.size === 0)
      throw new DecoderError("BAD_RECIPIENT", "no recipient to encrypt for is named", { hint: forms() });
    const wrappers: Wrapper[] = [];
    for (const row of SCHEMES) {
      const values = byScheme.get(row.name);
      if (values !== undefined) wrappers.push(...(await (await row.wrap()).prepare(values, settings)));
    }
    return new LayerWrapper(wrappers);
  }

  /**
   * Wraps one layer's private options.
   * @param existing the layer's annotations, whose packets stay before the new ones; recipients whom they name get no packet
   * again
   * @returns annotation name → packets in base64, separated by commas
   */
  async wrap(
    privateOptions: Uint8Array,
    existing: Readonly<Record<string, string>> = {},
  ): Promise<Record<string, string>> {
    const annotations: Record<string, string> = {};
    for (const wrapper of this.#wrappers) {
      const name = KEYS_PREFIX + wrapper.annotation;
      const before = existing[name];
      const packet = await wrapper.wrap(privateOptions, await idsIn(name, before));
      if (packet === null) continue;
      const text = encodeBase64(packet);
      annotations[name] = before ? `${before},${text}` : text;
    }
    return annotations;
  }
}

/** The ids of recipients that an annotation names. */
async function idsIn(name: string, value: string | undefined): Promise<ReadonlySet<string>> {
  const packets = value === undefined ? [] : await describeLayer({ [name]: value });
  return new Set(packets.flatMap(({ recipients }) => recipients.flatMap(({ id }) => id ?? [])));
}

/** The forms of recipients: "jwe:FILE, pkcs7:CERT or …". */
export function recipientForms(): string {
  const forms = SCHEMES.map(({ recipient }) => recipient);
  return `${forms.slice(0, -1).join(", ")} or ${forms.at(-1)}`;
}

function forms(): string {
  return `a recipient is ${recipientForms()}`;
}

interface Recipient {
  readonly row: SchemeRow;
  /** The text after "jwe:" and its like. */
  readonly value: string;
}

/** The annotation's suffix for a recipient: "jwe", "provider.kms". */
export function suffixOf({ row, value }: Recipient): string {
  return row.isNamed ? `${row.name}.${value.replace(/:.*/s, "")}` : row.name;
}

/** Splits a recipient at its first colon. @throws DecoderError USAGE */
export function parseRecipient(recipient: string): Recipient {
  const colon = recipient.indexOf(":");
  const [scheme, value] = [recipient.slice(0, Math.max(0, colon)), recipient.slice(colon + 1)];
  const row = SCHEMES.find(({ name }) => name === scheme);
  if (row !== undefined && value !== "") return { row, value };
  const suggestion = colon < 0 && recipient !== "" ? `; the public key in a file is jwe:${recipient}` : "";
  throw new DecoderError("USAGE", `${JSON.stringify(recipient)} is not a recipient`, {
    hint: forms() + suggestion,
  });
}
