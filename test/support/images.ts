import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { pack } from "tar-stream";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { type Compression, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from "../../src/spec/media-types.ts";
import { output, type Peer } from "./peers.ts";

const REF_NAME = "org.opencontainers.image.ref.name";

/** A file of a layer: bytes (mode 0755 so that programs run), or a symbolic link's target. */
export type Files = Readonly<Record<string, Uint8Array | { readonly link: string }>>;

export interface Layer {
  /** The layer's tar, uncompressed. */
  readonly tar: Uint8Array;
  readonly compression: Compression;
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value));

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export async function tar(files: Files): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) {
    const header = { name, mode: 0o755, mtime: new Date(0) };
    if (content instanceof Uint8Array) archive.entry(header, Buffer.from(content));
    else archive.entry({ ...header, type: "symlink", linkname: content.link });
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const COMPRESSORS: Readonly<Record<Compression, (bytes: Uint8Array) => Uint8Array>> = {
  none: (bytes) => bytes,
  gzip: (bytes) => gzipSync(bytes),
  zstd: (bytes) => zstdCompressSync(bytes),
};

/** The digest of a plain layer's tar, the one that image configs name in `diff_ids`. */
export function diffId(layer: Uint8Array): string {
  const [first, second, third, fourth] = layer;
  if (first === 0x1f && second === 0x8b) return sha256(gunzipSync(layer));
  // RFC 8878 §3.1.1: the magic number 0xFD2FB528, little-endian.
  const isZstd = first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd;
  return sha256(isZstd ? zstdDecompressSync(layer) : layer);
}

/** Adds a plain image to the OCI layout in `folder`, made if need be. `config` is the image config's own `config`. */
export function writeImage(folder: string, tag: string, layers: readonly Layer[], config: object = {}): void {
  const put = (mediaType: string, bytes: Uint8Array) => writeBlob(folder, mediaType, bytes);
  const imageConfig = put(
    OCI_CONFIG,
    json({
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      config,
      rootfs: { type: "layers", diff_ids: layers.map((layer) => sha256(layer.tar)) },
    }),
  );
  const descriptors = layers.map(({ tar, compression }) => {
    const suffix = compression === "none" ? "" : `+${compression}`;
    return put(`application/vnd.oci.image.layer.v1.tar${suffix}`, COMPRESSORS[compression](tar));
  });
  writeManifest(folder, tag, { config: imageConfig, layers: descriptors });
}

export interface ImageManifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** Writes a manifest with these parts and tags it. */
export function writeManifest(folder: string, tag: string, parts: ImageManifest): void {
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: parts.config, layers: parts.layers };
  const descriptor = writeBlob(folder, OCI_MANIFEST, json(manifest));
  const manifests = [...tagsOf(folder), { ...descriptor, annotations: { [REF_NAME]: tag } }];
  writeFileSync(join(folder, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
  writeFileSync(join(folder, "index.json"), json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
}

export function writeBlob(folder: string, mediaType: string, bytes: Uint8Array): Descriptor {
  const digest = sha256(bytes);
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  writeFileSync(blobPath(folder, digest), bytes);
  return { mediaType, digest, size: bytes.length };
}

export function blobPath(folder: string, digest: string): string {
  return join(folder, "blobs", digest.replace(":", "/"));
}

export function readBlob(folder: string, descriptor: Descriptor): Buffer {
  return readFileSync(blobPath(folder, descriptor.digest));
}

export function manifestOf(folder: string, tag: string): ImageManifest {
  const named = tagsOf(folder).find((it) => it.annotations?.[REF_NAME] === tag);
  if (!named) throw new Error(`no tag ${tag} in ${folder}`);
  return JSON.parse(readBlob(folder, named).toString());
}

/** The layers' descriptors of a tag in an OCI layout. */
export function layersOf(folder: string, tag: string): readonly Descriptor[] {
  return manifestOf(folder, tag).layers;
}

function tagsOf(folder: string): Descriptor[] {
  const index = join(folder, "index.json");
  return existsSync(index) ? JSON.parse(readFileSync(index, "utf8")).manifests : [];
}

/** Copies an image by skopeo, encrypting for `recipients` ("jwe:pub.pem") or decrypting with `keys` (paths). */
export async function copyImage(
  skopeo: Peer,
  source: string,
  destination: string,
  options: {
    readonly recipients?: readonly string[];
    readonly keys?: readonly string[];
    /** Added to skopeo's environment. */
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<void> {
  const args = [
    "--insecure-policy",
    "copy",
    "--src-tls-verify=false",
    "--dest-tls-verify=false",
    "--dest-oci-accept-uncompressed-layers",
    ...(options.recipients ?? []).flatMap((recipient) => ["--encryption-key", recipient]),
    ...(options.keys ?? []).flatMap((key) => ["--decryption-key", key]),
    source,
    destination,
  ];
  await output(skopeo, args, { env: { ...process.env, ...options.env } });
}
