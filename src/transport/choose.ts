import { DecoderError } from "../errors.ts";
import { CONTAINERD_NAME, type Index, type IndexEntry, REF_NAME } from "../spec/manifest.ts";

/**
 * The image that a tag means among those of a layout; without a tag, the only one.
 * @throws DecoderError NOT_FOUND, USAGE when several could be meant
 */
export function chooseImage(index: Index, tag: string | undefined, where: string): IndexEntry {
  const images = index.manifests;
  const meant = tag === undefined ? images : images.filter((entry) => namesOf(entry).includes(tag));
  const [only] = meant;
  if (meant.length === 1 && only !== undefined) return only;
  const names = [...new Set(images.flatMap(namesOf))];
  const hint = names.length > 0 ? `it has: ${names.slice(0, 20).join(", ")}` : "its images have no names";
  if (meant.length === 0) {
    if (images.length === 0) throw new DecoderError("NOT_FOUND", `${where} holds no image`);
    throw new DecoderError("NOT_FOUND", `${where} holds no image named "${tag}"`, { hint });
  }
  const which = tag === undefined ? "images, and no tag tells which" : `images named "${tag}"`;
  throw new DecoderError("USAGE", `${where} holds ${meant.length} ${which}`, { hint });
}

/** Whether the entry is what `tag` names; an undefined tag names the entry that has none. */
export function isNamed(entry: IndexEntry, tag: string | undefined): boolean {
  return entry.annotations?.[REF_NAME] === tag;
}

function namesOf(entry: IndexEntry): string[] {
  const { [REF_NAME]: name, [CONTAINERD_NAME]: fullName } = entry.annotations ?? {};
  return [name, fullName].filter((text) => text !== undefined);
}
