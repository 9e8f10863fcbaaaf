import { existsSync } from "node:fs";
import { encodeBase64 } from "../encoding/base64.ts";
import { DecoderError } from "../errors.ts";
import { KEYS_PREFIX } from "../spec/annotations.ts";
import { recipientName } from "./describe.ts";
import type { RecipientInfo, WrapSettings } from "./scheme.ts";
import type { SchemeRow } from "./schemes.ts";
import { packetsOf } from "./unwrap.ts";
import { parseRecipient, suffixOf } from "./wrap.ts";

type Annotations = Readonly<Record<string, string>>;

/** A recipient to remove. */
interface Target {
  /** As the user named it. */
  readonly text: string;
  readonly row: SchemeRow;
  /** The annotation's name after the prefix. */
  readonly suffix: string;
  /** Ids by which packets name it. Null: the annotation as a whole is the recipient's. */
  readonly ids: ReadonlySet<string> | null;
}

/** Removes recipients from layers' wrapped keys, without opening them. */
export class Removal {
  readonly #targets: readonly Target[];
  readonly #found = new Set<Target>();

  private constructor(targets: readonly Target[]) {
    this.#targets = targets;
  }

  /**
   * @param recipients in the forms of `encrypt`, or with an id, as for `recipientName`
   * @throws DecoderError BAD_RECIPIENT
   */
  static async prepare(recipients: readonly string[], settings: WrapSettings): Promise<Removal> {
    return new Removal(await Promise.all(recipients.map((text) => targetOf(text, settings))));
  }

  /** Returns the annotations without the recipients. */
  async apply(annotations: Annotations): Promise<Record<string, string>> {
    const kept: Record<string, string> = {};
    for (const [name, value] of Object.entries(annotations)) {
      const suffix = name.startsWith(KEYS_PREFIX) ? name.slice(KEYS_PREFIX.length) : undefined;
      const targets = this.#targets.filter((target) => target.suffix === suffix);
      const left = targets.length === 0 ? value : await this.#without(value, targets);
      if (left !== "") kept[name] = left;
    }
    return kept;
  }

  /** @throws DecoderError BAD_RECIPIENT when a recipient was not found in any layer */
  checkAllFound(): void {
    const missing = this.#targets.filter((target) => !this.#found.has(target));
    const [first] = missing;
    if (first === undefined) return;
    throw new DecoderError("BAD_RECIPIENT", `no chosen layer names ${first.text} as a recipient`, {
      hint: "ctd-decoder inspect IMAGE shows the recipients; for anonymous ones, name all that are to stay with --only --recipient",
    });
  }

  /** The packets that are left, separated by commas. */
  async #without(value: string, targets: readonly Target[]): Promise<string> {
    const [first] = targets;
    if (first === undefined) return value;
    const { without } = await first.row.describe();
    const isRemoved = (recipient: RecipientInfo) => {
      const hits = targets.filter(({ ids }) => ids === null || (recipient.id && ids.has(recipient.id)));
      for (const target of hits) this.#found.add(target);
      return hits.length > 0;
    };
    const texts = value.split(",");
    const left = packetsOf(first.suffix, value).map((packet, i) => {
      if (packet === null) return texts[i] ?? "";
      const rest = without(packet, isRemoved);
      return rest === packet ? (texts[i] ?? "") : rest === null ? "" : encodeBase64(rest);
    });
    return left.filter((text) => text !== "").join(",");
  }
}

async function targetOf(text: string, settings: WrapSettings): Promise<Target> {
  const recipient = parseRecipient(recipientName(text));
  const { row, value } = recipient;
  const suffix = suffixOf(recipient);
  if (row.isNamed) return { text, row, suffix, ids: null };
  if (isId(row, value)) return { text, row, suffix, ids: new Set([value]) };
  const ids = new Set(await (await row.describe()).idsOf(value, settings));
  if (ids.size > 0) return { text, row, suffix, ids };
  throw new DecoderError(
    "BAD_RECIPIENT",
    `${text} can't be removed: ${suffix} packets do not name their recipients`,
    {
      hint: "name all recipients that are to stay with --only --recipient",
    },
  );
}

/** Whether a recipient is an id rather than a file, or a name in a keyring. */
function isId(row: SchemeRow, value: string): boolean {
  if (row.openedBy.includes("keyrings")) return /^0x[0-9a-f]{16,64}$/.test(value);
  return row.openedBy.includes("keys") && value !== "-" && !existsSync(value);
}
