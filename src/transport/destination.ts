import type { Descriptor } from "../spec/descriptor.ts";
import type { IndexEntry } from "../spec/manifest.ts";
import type { BlobOutput } from "./blob-output.ts";
import type { ImageSource } from "./source.ts";

/**
 * Where an image is written. The order is: blobs, then manifests from the leaves up, then `commit`, which makes the image
 * visible under its name. Whoever ends without a commit leaves the destination as it was.
 */
export interface ImageDestination {
  /**
   * Takes a blob or manifest of `source` over as it is without having its bytes sent. The media type
   * distinguishes a manifest from a blob.
   * @returns undefined when the bytes must be sent
   */
  take(descriptor: Descriptor, source: ImageSource): Promise<Transfer | undefined>;
  /** An output for one new blob: plain data for `writeBlob`, on this thread or another. */
  newOutput(): Promise<BlobOutput>;
  /** Makes the blob that was written to `output` part of the image. @throws DecoderError IO */
  adopt(output: BlobOutput, digest: string): Promise<void>;
  /** Adds a manifest or index; those that it names were added before. The root is left to `commit`. @throws DecoderError IO */
  putManifest(descriptor: Descriptor, bytes: Uint8Array): Promise<void>;
  /**
   * Adds the root and puts the image in place under its name.
   * @throws DecoderError EXISTS when the name has since been taken, IO; nothing has changed then. UNCERTAIN when it was
   *   interrupted, or a registry stopped answering, while the tag was being set
   */
  commit(root: IndexEntry, bytes: Uint8Array): Promise<void>;
  /** Removes what was not put in place. Never throws. */
  close(): Promise<void>;
}

/** How a blob came to be in the destination without its bytes: it was there, or the registry linked it. */
export type Transfer = "present" | "mounted";
