import type { Descriptor } from "../../spec/descriptor.ts";

/** Where the manifests and blobs of an image's repository can be read: a registry, or a layout. */
export interface ArtifactStore {
  /**
   * @param reference a tag or `sha256:<hex>`
   * @returns undefined if it is missing; the bytes have the digest that is returned
   * @throws DecoderError REGISTRY and the like when the store can't answer, DIGEST_MISMATCH, BAD_IMAGE, LIMIT
   */
  manifest(reference: string): Promise<StoredManifest | undefined>;
  /**
   * A blob whole, of at most `most` bytes.
   * @throws DecoderError NOT_FOUND, DIGEST_MISMATCH, SIZE_MISMATCH, LIMIT, and those of `manifest`
   */
  blob(descriptor: Descriptor, most: number): Promise<Uint8Array>;
  /** What says that it refers to a manifest: unchecked, and of any kind. */
  referrers(digest: string): Promise<readonly Descriptor[]>;
}

export interface StoredManifest {
  readonly bytes: Uint8Array;
  /** `sha256:<hex>` of the bytes. */
  readonly digest: string;
  readonly mediaType: string;
}
