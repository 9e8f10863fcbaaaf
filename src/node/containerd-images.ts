import { existsSync } from "node:fs";
import { join } from "node:path";
import { CONTENT_PLUGIN } from "../containerd/store/place.ts";
import type { ImageRecord } from "../containerd/store/schema.ts";
import { ContainerdMetadata } from "../containerd/store/snapshots.ts";
import { isObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import { DOCKER_MANIFEST_LIST, OCI_INDEX } from "../spec/media-types.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";
import { chainIdOf } from "../tenants/sealed-chain.ts";
import { readSmall } from "../transport/blob.ts";
import { parseIndex, parseManifest, parseObject } from "../transport/documents.ts";
import { folderBlobs } from "../transport/layout.ts";
import { blobName } from "../transport/layout-index.ts";
import { type ImageSource, StoredImage } from "../transport/source.ts";
import { attempt } from "./attempt.ts";

/** Names that the CRI adds to an image: its digest, and the digest of its configuration. */
const ADDED_NAME = /^sha256:|@sha256:/;

interface UnpackedImage {
  readonly name: string;
  readonly source: ImageSource;
  /** Chain IDs of its layers, the lowest first. */
  readonly chains: readonly string[];
}

/** The images of a containerd, read from its metadata and its content store. */
export class ContainerdImages {
  readonly #folder: string;
  readonly #metadata: ContainerdMetadata;

  /** @param root containerd's data folder */
  constructor(root: string) {
    this.#folder = join(root, CONTENT_PLUGIN);
    this.#metadata = new ContainerdMetadata(this.#folder);
  }

  /**
   * An image by its full name, "docker.io/library/app:enc". Of an index, the first manifest that was pulled. A pull that
   * failed leaves nothing: containerd removes its blobs at once.
   * @returns undefined if no image has that name
   * @throws DecoderError CONTENT_STORE, NOT_FOUND, BAD_IMAGE
   */
  async open(name: string): Promise<ImageSource | undefined> {
    const target = this.#find(name);
    return target === undefined ? undefined : await this.#source(target);
  }

  /**
   * The digest of an image's manifest or index, as it was pulled.
   * @returns undefined if no image has that name
   * @throws DecoderError CONTENT_STORE
   */
  digestOf(name: string): string | undefined {
    return this.#find(name)?.digest;
  }

  #find(name: string): ImageRecord | undefined {
    return this.#metadata.images().find((image) => image.name === name);
  }

  /**
   * Images that are unpacked, by a name each. Their pulls may be older than the keys that are present.
   * @throws DecoderError CONTENT_STORE
   */
  async *unpacked(): AsyncGenerator<UnpackedImage> {
    const finished = this.#metadata.finishedChains();
    const seen = new Set<string>();
    for (const image of this.#metadata.images()) {
      if (ADDED_NAME.test(image.name) || seen.has(image.digest)) continue;
      seen.add(image.digest);
      // The content of an image may be removed once it is unpacked, or not be a container image.
      const found = await attempt([], async () => {
        const source = await this.#source(image);
        return { name: image.name, source, chains: await chainsOf(source) };
      });
      if (found !== undefined && finished.has(found.chains.at(-1) ?? "")) yield found;
    }
  }

  async #source({ name, ...target }: ImageRecord): Promise<ImageSource> {
    const blobs = folderBlobs(this.#folder);
    if (target.mediaType !== OCI_INDEX && target.mediaType !== DOCKER_MANIFEST_LIST)
      return new StoredImage(target, blobs);
    const bytes = await readSmall(blobs, target, LIMITS.manifestBytes);
    const pulled = parseIndex(bytes, name).value.manifests.find(({ digest }) =>
      existsSync(join(this.#folder, blobName(digest))),
    );
    if (pulled === undefined) throw new DecoderError("NOT_FOUND", `no manifest of ${name} was pulled`);
    return new StoredImage(pulled, blobs);
  }
}

/** The chain IDs of an image's layers (OCI image-spec, "Layer ChainID"): the keys of their snapshots. */
async function chainsOf(source: ImageSource): Promise<string[]> {
  const { config } = parseManifest(await source.readManifest(source.root), source.root.digest).value;
  const { value } = parseObject(
    await readSmall(source, config, SYSTEM_LIMITS.imageConfigBytes),
    config.digest,
  );
  const rootfs = value["rootfs"];
  const diffIds = isObject(rootfs) && Array.isArray(rootfs["diff_ids"]) ? rootfs["diff_ids"].map(String) : [];
  const chains: string[] = [];
  for (const diffId of diffIds) chains.push(chainIdOf(chains.at(-1), diffId));
  return chains;
}
