import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import { checkedDigest } from "../spec/digest.ts";
import { CONTAINERD_NAME, type Index, type IndexEntry, REF_NAME } from "../spec/manifest.ts";
import { type BlobStore, readSmall, sizeOf } from "./blob.ts";
import { type Document, mediaTypeOf, parseIndex, parseObject } from "./documents.ts";
import type { FileReference } from "./file-reference.ts";

/** What a layout's folder and archive have in common (OCI image-layout v1.0.0). */
export const LAYOUT_FILE = "oci-layout";
export const INDEX_FILE = "index.json";
export const LAYOUT_VERSION = "1.0.0";

export const NEW_INDEX: Document<Index> = {
  value: { schemaVersion: 2, manifests: [] },
  style: { indent: "", tail: "", escapesHtml: false },
};

/** The most names that a hint lists. */
const LISTED_NAMES = 20;

/** "blobs/sha256/<hex>". @throws DecoderError BAD_DESCRIPTOR for a digest that can't be a file name */
export function blobName(digest: string): string {
  const { algorithm, hex } = checkedDigest(digest);
  return `blobs/${algorithm}/${hex}`;
}

/** The index of a layout from its two files. @throws DecoderError BAD_IMAGE, LIMIT */
export function parseLayoutIndex(marker: Uint8Array, index: Uint8Array, where: string): Document<Index> {
  checkLayoutVersion(marker, `${LAYOUT_FILE} in ${where}`);
  return parseIndex(index, `${INDEX_FILE} in ${where}`);
}

/** @throws DecoderError BAD_IMAGE when the marker file names another major version of the layout */
export function checkLayoutVersion(marker: Uint8Array, name: string): void {
  const version = parseObject(marker, name).value["imageLayoutVersion"];
  if (typeof version === "string" && version.startsWith("1.")) return;
  throw new DecoderError(
    "BAD_IMAGE",
    `${name} has image layout version ${JSON.stringify(version)}; only ${LAYOUT_VERSION} is supported`,
  );
}

/**
 * The image of a layout that a tag names; without a tag, the only image.
 * @throws DecoderError NOT_FOUND, USAGE when several images match
 */
export function chooseImage(index: Index, tag: string | undefined, where: string): IndexEntry {
  const images = index.manifests.filter((entry) => !isAttachment(entry));
  const matching =
    tag === undefined ? images : index.manifests.filter((entry) => namesOf(entry).includes(tag));
  const [only] = matching;
  if (matching.length === 1 && only !== undefined) return only;
  if (images.length === 0) throw new DecoderError("NOT_FOUND", `${where} holds no image`);
  const names = [...new Set(images.flatMap(namesOf))];
  const hint =
    names.length > 0 ? `it has: ${names.slice(0, LISTED_NAMES).join(", ")}` : "its images have no names";
  if (matching.length === 0) {
    throw new DecoderError("NOT_FOUND", `${where} holds no image named "${tag}"`, { hint });
  }
  const which = tag === undefined ? "images; a tag must choose one" : `images named "${tag}"`;
  throw new DecoderError("USAGE", `${where} holds ${matching.length} ${which}`, { hint });
}

/** Tags of signatures and attestations, and of the list of an image's referrers. */
const ATTACHMENT_TAG = /^sha256-[0-9a-f]{64}(?:\.(?:sig|att|sbom))?$/;

/** Whether an entry belongs to an image of the layout. `sign` adds such entries, and so does cosign, which marks them. */
function isAttachment({ annotations }: IndexEntry): boolean {
  const { [REF_NAME]: name = "", kind = "" } = annotations ?? {};
  return ATTACHMENT_TAG.test(name) || /^dev\.cosignproject\.cosign\/(?:sigs|atts)$/.test(kind);
}

/**
 * The image that a reference names: by its digest, which may be that of any manifest in the layout, or else by its tag.
 * @throws DecoderError NOT_FOUND, USAGE when several images match, BAD_IMAGE, LIMIT, IO
 */
export async function findImage(
  index: Index,
  { tag, digest }: Pick<FileReference, "tag" | "digest">,
  blobs: BlobStore,
  where: string,
): Promise<IndexEntry> {
  if (digest === undefined) return chooseImage(index, tag, where);
  const entry = index.manifests.find((it) => it.digest === digest);
  if (entry !== undefined) return entry;
  const unknown = { mediaType: "", digest, size: 0 };
  const descriptor = { ...unknown, size: sizeOf(await blobs.locate(unknown)) };
  const bytes = await readSmall(blobs, descriptor, LIMITS.manifestBytes);
  return { ...descriptor, mediaType: mediaTypeOf(bytes, `blob ${digest}`) };
}

/** Whether the entry has this tag; undefined stands for the entry without a tag. */
export function isTagged(entry: IndexEntry, tag: string | undefined): boolean {
  return entry.annotations?.[REF_NAME] === tag;
}

/** The entry under a new tag. The full name that containerd wrote was the source's, and is dropped. */
export function tagged(root: IndexEntry, tag: string | undefined): IndexEntry {
  const { [REF_NAME]: _name, [CONTAINERD_NAME]: _fullName, ...others } = root.annotations ?? {};
  const { annotations: _annotations, ...entry } = root;
  const annotations = { ...others, ...(tag !== undefined && { [REF_NAME]: tag }) };
  return (Object.keys(annotations).length === 0 ? entry : { ...entry, annotations }) as IndexEntry;
}

function namesOf(entry: IndexEntry): string[] {
  const { [REF_NAME]: name, [CONTAINERD_NAME]: fullName } = entry.annotations ?? {};
  return [name, fullName].filter((text) => text !== undefined);
}
