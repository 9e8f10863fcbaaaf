import { type BoltBucket, boltDatabase } from "./bolt.ts";
import { ContentStore } from "./content-store.ts";
import { sha256 } from "./images.ts";

const TAR = "application/vnd.oci.image.layer.v1.tar";
export const PLAIN_LAYER = { mediaType: TAR, digest: sha256(Buffer.of(1)), size: 1 };
/** No key opens it. */
export const ENCRYPTED_LAYER = {
  ...PLAIN_LAYER,
  mediaType: `${TAR}+encrypted`,
  annotations: { "org.opencontainers.image.enc.keys.jwe": Buffer.from("{}").toString("base64") },
};

/** What containerd keeps of images below its root: manifests and configurations, and names of snapshots. */
export class ImageStore {
  readonly #store: ContentStore;
  readonly #images: Record<string, BoltBucket> = {};

  constructor(root: string) {
    this.#store = new ContentStore(root);
  }

  get root(): string {
    return this.#store.root;
  }

  /** @param content images with the same content are the same. @returns the chains of its layers, the lowest first */
  add(name: string, layers: readonly object[], content = name): string[] {
    const diffIds = layers.map((_, i) => sha256(Buffer.from(`${content} ${i}`)));
    const chains: string[] = [];
    // OCI image-spec, "Layer ChainID": the digest of the chain below and the layer, with a space between them.
    for (const id of diffIds) {
      const below = chains.at(-1);
      chains.push(below === undefined ? id : sha256(Buffer.from(`${below} ${id}`)));
    }
    const config = JSON.stringify({ rootfs: { type: "layers", diff_ids: diffIds } });
    const described = { mediaType: "application/vnd.oci.image.config.v1+json", size: config.length };
    const digest = this.#store.add(config);
    const manifest = JSON.stringify({ schemaVersion: 2, config: { ...described, digest }, layers });
    // Go's varint of the size: two groups of 7 bits of twice the number.
    const size = Buffer.of(((2 * manifest.length) & 0x7f) | 0x80, (2 * manifest.length) >> 7);
    const mediatype = "application/vnd.oci.image.manifest.v1+json";
    this.#images[name] = { target: { digest: this.#store.add(manifest), mediatype, size } };
    return chains;
  }

  /** Writes the metadata. @param snapshots names of all snapshots */
  write(snapshots: readonly string[]): void {
    const overlayfs = Object.fromEntries(
      ["none", ...snapshots].map((it, i) => [it, { name: String(i + 1) }]),
    );
    this.#store.describe(
      boltDatabase({ v1: { "k8s.io": { images: this.#images, snapshots: { overlayfs } } } }),
    );
  }
}
