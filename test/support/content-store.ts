import { mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { OCI_MANIFEST } from "../../src/spec/media-types.ts";
import { sha256 } from "./images.ts";

const PLUGIN = "io.containerd.content.v1.content";
const METADATA = "io.containerd.metadata.v1.bolt";
const FIXTURES = join(import.meta.dirname, "../unit/containerd/store/fixtures");

/** The blobs of the pull in the fixture "one-pull": its manifest, and the first of its layers. */
const LEASED_MANIFEST = "d1b56ab689109d765b0b1704de9e76b379678c4acd4340572f025d70c34867fd";
const LEASED_LAYER = "3dbac8cf7199cf6b340e512371bceaa92a8140119f140e3b03e94a3a8210756c";

/** What containerd keeps below its root: a content store, and the metadata of one pull if need be. */
export class ContentStore {
  readonly root: string;
  readonly folder: string;
  #age = 0;

  constructor(root: string) {
    this.root = root;
    this.folder = join(root, PLUGIN);
    mkdirSync(join(this.folder, "blobs/sha256"), { recursive: true });
  }

  path(digest: string): string {
    return join(this.folder, "blobs", digest.replace(":", "/"));
  }

  /** Writes a blob, one second newer than the last one. */
  add(bytes: Uint8Array | string): string {
    const digest = sha256(Buffer.from(bytes));
    writeFileSync(this.path(digest), bytes);
    this.#age += 1;
    utimesSync(this.path(digest), 1_800_000_000 + this.#age, 1_800_000_000 + this.#age);
    return digest;
  }

  addManifest(layers: readonly Descriptor[]): string {
    const config = {
      mediaType: "application/vnd.oci.image.config.v1+json",
      digest: sha256(Buffer.of()),
      size: 0,
    };
    return this.add(JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers }));
  }

  /** As if a pull of this manifest were under way. */
  lease(manifest: string, layer: string): void {
    const database = fixture("one-pull").toString("latin1");
    const text = database
      .replaceAll(LEASED_MANIFEST, manifest.slice("sha256:".length))
      .replaceAll(LEASED_LAYER, layer.slice("sha256:".length));
    this.describe(Buffer.from(text, "latin1"));
  }

  /** Writes containerd's metadata. */
  describe(database: Uint8Array): void {
    mkdirSync(join(this.root, METADATA), { recursive: true });
    writeFileSync(join(this.root, METADATA, "meta.db"), database);
  }
}

/** A database that a containerd wrote. */
export function fixture(name: "one-pull" | "300-leases"): Buffer {
  return gunzipSync(readFileSync(join(FIXTURES, `${name}.db.gz`)));
}
