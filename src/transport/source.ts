import * as LIMITS from "../limits.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { IndexEntry } from "../spec/manifest.ts";
import { type BlobLocation, type BlobStore, readSmall } from "./blob.ts";

/**
 * An image that can be read. Manifests are read whole and at once. Blobs (layers, configurations) are only located here:
 * their location is plain data, with which any thread can read them.
 */
export interface ImageSource extends BlobStore {
  /** Descriptor of the manifest or index, with the annotations that a layout's index.json has for it. */
  readonly root: IndexEntry;
  /** Whether layers are stored uncompressed, however they were pushed, as `docker save` does. */
  readonly isUncompressed: boolean;
  /** Whether each read is a request to another machine. */
  readonly isRemote?: boolean;
  /**
   * The bytes of a manifest or index of this image.
   * @throws DecoderError NOT_FOUND when the image lacks it, LIMIT, SIZE_MISMATCH, DIGEST_MISMATCH, IO
   */
  readManifest(descriptor: Descriptor): Promise<Uint8Array>;
  /** Whether signatures or the like refer to the image by its digest. Missing where nothing can. Never throws. */
  hasReferrers?(): Promise<boolean>;
  close(): Promise<void>;
}

/** Files of which a layer is made. */
export interface FilesSource {
  /** One uncompressed tar archive. @throws DecoderError IO, BAD_IMAGE */
  readonly tar: AsyncGenerator<Uint8Array>;
  /** Bytes of the archive; undefined if unknown in advance. */
  readonly bytes: number | undefined;
  close(): Promise<void>;
}

interface StoredImageOptions {
  readonly isUncompressed?: boolean;
  readonly close?: () => Promise<void>;
}

/** An image whose manifests are blobs like all others, as in layouts and archives. */
export class StoredImage implements ImageSource {
  readonly root: IndexEntry;
  readonly isUncompressed: boolean;
  readonly #blobs: BlobStore;
  readonly #close: () => Promise<void>;

  constructor(
    root: IndexEntry,
    blobs: BlobStore,
    { isUncompressed = false, close }: StoredImageOptions = {},
  ) {
    this.root = root;
    this.isUncompressed = isUncompressed;
    this.#blobs = blobs;
    this.#close = close ?? (async () => undefined);
  }

  async locate(descriptor: Descriptor): Promise<BlobLocation> {
    return await this.#blobs.locate(descriptor);
  }

  async readManifest(descriptor: Descriptor): Promise<Uint8Array> {
    return await readSmall(this.#blobs, descriptor, LIMITS.manifestBytes);
  }

  async close(): Promise<void> {
    await this.#close();
  }
}
