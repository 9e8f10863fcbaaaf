import type { Descriptor } from "../../spec/descriptor.ts";
import type { Content } from "./artifacts.ts";

/** What a new manifest or index needs in place before it, in this order. */
export interface Upload {
  readonly blobs: readonly Content[];
  /** Manifests that the last one names. */
  readonly manifests: readonly Content[];
  readonly manifest: Content;
}

/** The repository or layout that holds the image, and will hold its signatures. */
export interface SignatureStore {
  /** The manifest or index that is to be signed. @throws DecoderError NOT_FOUND and those of the store */
  image(): Promise<Descriptor>;
  /** The manifest or index under a tag; undefined for a missing tag. */
  tagged(tag: string): Promise<Uint8Array | undefined>;
  /**
   * A small blob whole, checked against its digest.
   * @throws DecoderError LIMIT beyond `most` bytes, NOT_FOUND, DIGEST_MISMATCH
   */
  blob(descriptor: Descriptor, most: number): Promise<Uint8Array>;
  /** Like `blob`, of a manifest. */
  manifest(descriptor: Descriptor): Promise<Uint8Array>;
  /** What says that it refers to a digest, whichever way the store keeps that. */
  referrers(digest: string): Promise<readonly Descriptor[]>;
  /** Stores all of an upload under a tag. @throws DecoderError of the store; the tag has not moved then */
  put(upload: Upload, tag: string): Promise<void>;
  /**
   * Stores a manifest that has a subject.
   * @returns whether the store itself lists it as a referrer; otherwise nothing need have been stored
   */
  putReferrer(upload: Upload): Promise<boolean>;
  close(): Promise<void>;
}
