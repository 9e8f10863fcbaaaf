import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import type { IndexEntry, Platform } from "../../src/spec/manifest.ts";
import { type Compression, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from "../../src/spec/media-types.ts";
import { blobPath, sha256, writeBlob } from "./images.ts";

/** Image layouts of every shape, written by the test itself. */

const json = (value: unknown, indent?: number) => Buffer.from(JSON.stringify(value, null, indent));

export interface LayerContent {
  readonly bytes: Uint8Array;
  readonly compression: Compression;
  /** Of the uncompressed tar. */
  readonly diffId: string;
  readonly extra?: object;
}

export interface ManifestOptions {
  readonly platform?: Platform;
  /** More members of the manifest, and of its entry in the index. */
  readonly manifest?: object;
  readonly entry?: object;
  /** Spaces a level; undefined: one line. */
  readonly indent?: number;
}

const SUFFIX: Readonly<Record<Compression, string>> = { none: "", gzip: "+gzip", zstd: "+zstd" };

/** A manifest with its configuration and layers; returns its entry for an index. */
export function putManifest(
  folder: string,
  layers: readonly LayerContent[],
  options: ManifestOptions = {},
): IndexEntry {
  const platform = options.platform ?? { os: "linux", architecture: "amd64" };
  const rootfs = { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) };
  const config = writeBlob(folder, OCI_CONFIG, json({ ...platform, config: {}, rootfs }));
  const descriptors = layers.map(({ bytes, compression, extra }) => ({
    ...writeBlob(folder, `application/vnd.oci.image.layer.v1.tar${SUFFIX[compression]}`, bytes),
    ...extra,
  }));
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config,
    layers: descriptors,
    ...options.manifest,
  };
  const written = writeBlob(folder, OCI_MANIFEST, json(manifest, options.indent));
  return { ...written, ...(options.platform && { platform }), ...options.entry };
}

export function putIndex(folder: string, manifests: readonly Descriptor[], more: object = {}): IndexEntry {
  return writeBlob(folder, OCI_INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests, ...more }));
}

/** An image of the same layers for amd64 and arm64. */
export function putPlatforms(folder: string, layers: readonly LayerContent[]): void {
  const platforms = ["amd64", "arm64"].map((architecture) => ({ os: "linux", architecture }));
  tagRoot(
    folder,
    putIndex(
      folder,
      platforms.map((platform) => putManifest(folder, layers, { platform })),
    ),
  );
}

/** Makes `root` the layout's image of that tag. */
export function tagRoot(folder: string, root: IndexEntry, tag = "v1"): void {
  const annotations = { ...root.annotations, "org.opencontainers.image.ref.name": tag };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(folder, "index.json"),
    json({ schemaVersion: 2, manifests: [{ ...root, annotations }] }),
  );
}

export function rootOf(folder: string, tag = "v1"): IndexEntry {
  const { manifests } = JSON.parse(readFileSync(join(folder, "index.json"), "utf8"));
  const found = manifests.find(
    (it: IndexEntry) => it.annotations?.["org.opencontainers.image.ref.name"] === tag,
  );
  if (found === undefined) throw new Error(`no tag ${tag} in ${folder}`);
  return found;
}

/** A JSON blob of a layout. */
// biome-ignore lint/suspicious/noExplicitAny: tests reach into documents of every shape
export function readDocument(folder: string, { digest }: Pick<Descriptor, "digest">): any {
  return JSON.parse(readFileSync(blobPath(folder, digest), "utf8"));
}

/** Every file below a folder with its digest: what a failed command must leave as it was. */
export function snapshot(folder: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(folder, name);
    files.set(name, statSync(path).isFile() ? sha256(readFileSync(path)) : "not a file");
  }
  return files;
}

/** A copy to damage. */
export function copyLayout(folder: string, to: string): string {
  cpSync(folder, to, { recursive: true });
  return to;
}
