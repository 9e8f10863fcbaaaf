import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../limits.ts";
import type { Descriptor } from "../../spec/descriptor.ts";
import { type IndexEntry, REF_NAME } from "../../spec/manifest.ts";
import { type BlobStore, readSmall } from "../../transport/blob.ts";
import { folderBlobs, readLayoutIndex } from "../../transport/layout.ts";
import type { ArtifactStore, StoredManifest } from "./artifact-store.ts";
import { parseArtifactIndex, parseArtifactManifest } from "./attachments.ts";
import { attachmentTag } from "./tag-signatures.ts";

/** What `cosign save` calls the entries of an index (its `pkg/oci/layout`). */
const KIND = "kind";
const SIGNATURES_KIND = "dev.cosignproject.cosign/sigs";
const ATTESTATIONS_KIND = "dev.cosignproject.cosign/atts";
const IMAGE_KINDS: ReadonlySet<string> = new Set([
  "dev.cosignproject.cosign/image",
  "dev.cosignproject.cosign/imageIndex",
]);

/**
 * A layout's folder. Attachments are found by tag, by subject, and as `cosign save` marks them.
 */
export class LayoutStore implements ArtifactStore {
  readonly #entries: readonly IndexEntry[];
  readonly #blobs: BlobStore;
  /** Manifests that a fallback index names, and index.json does not. */
  readonly #referrers = new Map<string, Descriptor>();

  private constructor(entries: readonly IndexEntry[], blobs: BlobStore) {
    this.#entries = entries;
    this.#blobs = blobs;
  }

  /** @throws DecoderError NOT_FOUND when the folder is not a layout, BAD_IMAGE, LIMIT, IO */
  static async open(folder: string): Promise<LayoutStore> {
    const index = await readLayoutIndex(folder);
    return new LayoutStore(index.value.manifests, folderBlobs(folder));
  }

  async manifest(reference: string): Promise<StoredManifest | undefined> {
    const entry =
      this.#entries.find((it) => it.digest === reference) ??
      this.#referrers.get(reference) ??
      this.#tagged(reference);
    return entry && (await this.#read(entry));
  }

  async blob(descriptor: Descriptor, most: number): Promise<Uint8Array> {
    return await readSmall(this.#blobs, descriptor, most);
  }

  /** Entries of the index whose manifest names the digest as its subject, and those of a fallback index. */
  async referrers(digest: string): Promise<readonly Descriptor[]> {
    const found: Descriptor[] = [];
    for (const entry of this.#entries) {
      if (entry.digest !== digest && (await this.#subjectOf(entry)) === digest) found.push(entry);
    }
    const fallback = await this.manifest(attachmentTag(digest));
    if (fallback !== undefined) {
      const listed = parseArtifactIndex(fallback.bytes, attachmentTag(digest));
      for (const it of listed) this.#referrers.set(it.digest, it);
      found.push(...listed);
    }
    return found;
  }

  /** A tag, or what cosign marks: it saves one image with what belongs to it. */
  #tagged(tag: string): IndexEntry | undefined {
    const named = this.#entries.find(({ annotations }) => annotations?.[REF_NAME] === tag);
    if (named !== undefined) return named;
    const [, digest = "", kind = ""] = /^(sha256-[0-9a-f]{64})\.(sig|att)$/.exec(tag) ?? [];
    const isSaved = this.#entries.some(
      (it) => IMAGE_KINDS.has(it.annotations?.[KIND] ?? "") && attachmentTag(it.digest) === digest,
    );
    const wanted = kind === "att" ? ATTESTATIONS_KIND : SIGNATURES_KIND;
    return isSaved ? this.#entries.find((it) => it.annotations?.[KIND] === wanted) : undefined;
  }

  async #subjectOf(entry: IndexEntry): Promise<string | undefined> {
    try {
      const { bytes } = await this.#read(entry);
      return parseArtifactManifest(bytes, entry.digest).subject;
    } catch (error) {
      // An index, or a manifest that was not copied: nothing that refers to the image.
      if (error instanceof DecoderError) return undefined;
      throw error;
    }
  }

  async #read(entry: Descriptor): Promise<StoredManifest> {
    const bytes = await readSmall(this.#blobs, entry, LIMITS.manifestBytes);
    return { bytes, digest: entry.digest, mediaType: entry.mediaType };
  }
}
