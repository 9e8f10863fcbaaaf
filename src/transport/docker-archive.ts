import { isObject } from "../encoding/json.ts";
import { parseJson, writeJson } from "../encoding/json-document.ts";
import { DecoderError } from "../errors.ts";
import { compressionOf, MAGIC_BYTES } from "../io/compression.ts";
import { Digester } from "../io/digester.ts";
import * as LIMITS from "../limits.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { parseDigest } from "../spec/digest.ts";
import type { ImageConfig, IndexEntry, Manifest } from "../spec/manifest.ts";
import { OCI_CONFIG, OCI_MANIFEST, plainLayerType } from "../spec/media-types.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";
import type { Archive } from "./archive.ts";
import { type BlobStore, type FileRange, MemoryBlobs, readBlob, readHead } from "./blob.ts";
import { DOCKER_MANIFEST_FILE, type SavedImage } from "./docker-manifest.ts";
import { parseObject } from "./documents.ts";
import { LAYOUT_FILE } from "./layout-index.ts";

/** The most names that a hint lists. */
const LISTED_NAMES = 20;

/**
 * Reads an image of `docker save`. All but its manifest is as in an OCI image; the manifest is made here.
 * @param name "busybox:1.36", "@1" for the second image, or undefined for the only one
 * @throws DecoderError BAD_IMAGE, NOT_FOUND, USAGE, LIMIT, IO
 */
export async function readDockerImage(
  archive: Archive,
  name: string | undefined,
): Promise<{ readonly root: IndexEntry; readonly blobs: BlobStore }> {
  const saved = chooseSaved(await readSaved(archive), name, archive.name);
  const blobs = new MemoryBlobs(archive.name);
  const configBytes = await archive.read(saved.Config, SYSTEM_LIMITS.imageConfigBytes);
  if (configBytes === undefined) throw missing(archive, saved.Config);
  const diffIds = readDiffIds(configBytes, `${saved.Config} in ${archive.name}`);
  if (diffIds.length !== saved.Layers.length) {
    throw new DecoderError(
      "BAD_IMAGE",
      `${archive.name} lists ${saved.Layers.length} layers, but the image's configuration lists ${diffIds.length}`,
    );
  }
  const layers: Descriptor[] = [];
  for (const [position, path] of saved.Layers.entries()) {
    const range = archive.findLinked(path);
    if (range === undefined) throw missing(archive, path);
    const layer = await describeLayer(range, diffIds[position] ?? "");
    blobs.addFile(layer.digest, range);
    layers.push(layer);
  }
  const config = blobs.add(OCI_CONFIG, configBytes);
  const manifest: Manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers };
  return { root: blobs.add(OCI_MANIFEST, writeJson(manifest)), blobs };
}

/** The diff IDs in a configuration: digests of the uncompressed layers. @throws DecoderError BAD_IMAGE */
export function readDiffIds(config: Uint8Array, name: string): readonly string[] {
  const rootfs = (parseObject(config, name).value as unknown as ImageConfig).rootfs;
  const diffIds: unknown = isObject(rootfs) ? rootfs.diff_ids : undefined;
  if (
    Array.isArray(diffIds) &&
    diffIds.every((id) => typeof id === "string" && parseDigest(id) !== undefined)
  )
    return diffIds;
  throw new DecoderError("BAD_IMAGE", `${name} is not an image configuration: it has no list of diff_ids`);
}

/** An uncompressed layer's digest is its diff ID, which is checked when it is read. Any other digest is computed. */
async function describeLayer(range: FileRange, diffId: string): Promise<Descriptor> {
  const compression = compressionOf(await readHead(range, MAGIC_BYTES));
  const mediaType = plainLayerType(compression);
  if (compression === "none") return { mediaType, digest: diffId, size: range.size };
  const digester = new Digester();
  for await (const chunk of readBlob(range)) digester.update(chunk);
  return { mediaType, digest: digester.digest(), size: range.size };
}

async function readSaved(archive: Archive): Promise<SavedImage[]> {
  const bytes = await archive.read(DOCKER_MANIFEST_FILE, LIMITS.manifestBytes);
  if (bytes === undefined) {
    throw new DecoderError(
      "BAD_IMAGE",
      `${archive.name} is not an archive of docker save: it has no ${DOCKER_MANIFEST_FILE}`,
      archive.find(LAYOUT_FILE) === undefined
        ? {}
        : { hint: "it looks like an OCI image archive: read it as oci-archive:FILE" },
    );
  }
  const images = parseList(bytes);
  if (images === undefined)
    throw new DecoderError("BAD_IMAGE", `${DOCKER_MANIFEST_FILE} in ${archive.name} lists no images`);
  return images;
}

function parseList(bytes: Uint8Array): SavedImage[] | undefined {
  let value: unknown;
  try {
    value = parseJson(bytes).value;
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length > SYSTEM_LIMITS.indexEntries) return undefined;
  const images = value.map(savedImage);
  return images.every((image) => image !== undefined) ? images : undefined;
}

function savedImage(value: unknown): SavedImage | undefined {
  if (!isObject(value)) return undefined;
  const { Config, RepoTags, Layers } = value;
  if (typeof Config !== "string" || !isTextList(Layers) || Layers.length > LIMITS.layers) return undefined;
  return { Config, Layers, RepoTags: isTextList(RepoTags) ? RepoTags : [] };
}

function chooseSaved(images: readonly SavedImage[], name: string | undefined, where: string): SavedImage {
  const position = name === undefined ? undefined : /^@(\d{1,4})$/.exec(name)?.[1];
  const meant = images.filter((image, i) =>
    position !== undefined
      ? i === Number(position)
      : name === undefined || image.RepoTags?.some((tag) => sameName(tag, name)),
  );
  const [only] = meant;
  if (meant.length === 1 && only !== undefined) return only;
  const names = images
    .flatMap((image) => image.RepoTags ?? [])
    .slice(0, LISTED_NAMES)
    .join(", ");
  const hint = names ? `it has: ${names}` : "name one by its position: docker-archive:FILE:@0";
  if (meant.length === 0)
    throw new DecoderError(
      "NOT_FOUND",
      `${where} holds no image ${name === undefined ? "" : `named "${name}"`}`.trimEnd(),
      { hint },
    );
  throw new DecoderError("USAGE", `${where} holds ${meant.length} images; a name must choose one`, { hint });
}

/** Docker shortens "docker.io/library/busybox:1.36" to "busybox:1.36". No tag means ":latest". */
function sameName(a: string, b: string): boolean {
  return fullName(a) === fullName(b);
}

function fullName(name: string): string {
  const short = name.replace(/^(?:docker\.io\/|index\.docker\.io\/)/, "").replace(/^library\//, "");
  return /:[^/]*$/.test(short) ? short : `${short}:latest`;
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

function missing(archive: Archive, path: string): DecoderError {
  return new DecoderError(
    "BAD_IMAGE",
    `${archive.name} lists ${JSON.stringify(path.slice(0, 160))}, but does not hold it`,
  );
}
