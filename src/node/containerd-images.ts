import { closeSync, existsSync } from "node:fs";
import { join } from "node:path";
import { Bolt, type Bucket } from "../containerd/store/metadata.ts";
import { METADATA, SCHEMA } from "../containerd/store/schema.ts";
import { isObject } from "../encoding/json.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { openRegularFile } from "../io/file.ts";
import * as LIMITS from "../limits.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { parseDigest } from "../spec/digest.ts";
import { DOCKER_MANIFEST_LIST, OCI_INDEX } from "../spec/media-types.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";
import { chainIdOf } from "../tenants/sealed-chain.ts";
import { readSmall } from "../transport/blob.ts";
import { parseIndex, parseManifest, parseObject } from "../transport/documents.ts";
import { folderBlobs } from "../transport/layout.ts";
import { blobName } from "../transport/layout-index.ts";
import { type ImageSource, StoredImage } from "../transport/source.ts";

const CONTENT = "io.containerd.content.v1.content";
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
  /** Image name → manifest or index. */
  readonly #images = new Map<string, Descriptor>();
  readonly #snapshots = new Set<string>();

  /** @param root containerd's data folder. @throws DecoderError CONTENT_STORE */
  constructor(root: string) {
    this.#folder = join(root, CONTENT);
    const path = join(root, METADATA);
    let fd: number;
    try {
      fd = openRegularFile(path).fd;
    } catch (cause) {
      throw new DecoderError(
        "CONTENT_STORE",
        `cannot read containerd's images (${path}): ${describeSystemError(cause)}`,
        {
          cause,
          hint: "run it as root, and name containerd's configuration with --config if its root is elsewhere",
        },
      );
    }
    try {
      const database = Bolt.open(fd);
      if (database !== null) this.#read(database);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * An image by its full name, "docker.io/library/app:enc". Of an index, the first manifest that was pulled. A pull that
   * failed leaves nothing: containerd removes its blobs at once.
   * @returns undefined if no image has that name
   * @throws DecoderError NOT_FOUND, BAD_IMAGE
   */
  async open(name: string): Promise<ImageSource | undefined> {
    const target = this.#images.get(name);
    return target === undefined ? undefined : await this.#source(target, name);
  }

  /** Images that are unpacked, by a name each. Their pulls may be older than the keys that are present. */
  async *unpacked(): AsyncGenerator<UnpackedImage> {
    const seen = new Set<string>();
    for (const [name, target] of this.#images) {
      if (ADDED_NAME.test(name) || seen.has(target.digest)) continue;
      seen.add(target.digest);
      try {
        const source = await this.#source(target, name);
        const chains = await chainsOf(source);
        if (this.#snapshots.has(chains.at(-1) ?? "")) yield { name, source, chains };
      } catch (error) {
        // The content of an image may be removed once it is unpacked, or be no container image.
        if (!(error instanceof DecoderError)) throw error;
      }
    }
  }

  /** containerd's schema (core/metadata/buckets.go). */
  #read(database: Bolt): void {
    for (const [, namespace] of database.entries(database.bucket(database.root(), SCHEMA))) {
      for (const [name, image] of database.entries(database.bucket(namespace, "images"))) {
        const target = descriptorOf(database, image);
        if (target !== undefined) this.#images.set(name, target);
      }
      for (const [, snapshotter] of database.entries(database.bucket(namespace, "snapshots")))
        for (const [key] of database.entries(snapshotter)) this.#snapshots.add(key);
    }
  }

  async #source(target: Descriptor, name: string): Promise<ImageSource> {
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

function descriptorOf(database: Bolt, image: Bucket | null): Descriptor | undefined {
  const target = database.bucket(image, "target");
  const [digest, mediaType] = [database.value(target, "digest"), database.value(target, "mediatype")];
  const size = database.value(target, "size");
  if (digest === null || mediaType === null || size === null || parseDigest(digest.toString()) === undefined)
    return undefined;
  return { mediaType: mediaType.toString(), digest: digest.toString(), size: readVarint(size) };
}

/** Go's encoding/binary: groups of 7 bits, the sign in the lowest bit. */
function readVarint(bytes: Uint8Array): number {
  let value = 0;
  for (const [i, byte] of bytes.entries()) value += (byte & 0x7f) * 2 ** (7 * i);
  return value / 2;
}
