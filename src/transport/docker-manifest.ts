import { writeJson } from "../encoding/json-document.ts";
import { DecoderError } from "../errors.ts";
import { DOCKER_HUB, formatName, parseName } from "../registry/name.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { CONTAINERD_NAME, type IndexEntry, type Manifest, REF_NAME } from "../spec/manifest.ts";
import {
  DOCKER_CONFIG,
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
  parseLayerType,
} from "../spec/media-types.ts";
import { parseIndex, parseManifest } from "./documents.ts";
import { blobName } from "./layout-index.ts";

/** An entry of the manifest.json that `docker save` writes, and that `docker load` and older tools read. */
export interface SavedImage {
  readonly Config: string;
  readonly RepoTags: readonly string[] | null;
  readonly Layers: readonly string[];
}

export const DOCKER_MANIFEST_FILE = "manifest.json";

const MANIFEST_TYPES: ReadonlySet<string> = new Set([OCI_MANIFEST, DOCKER_MANIFEST]);
const INDEX_TYPES: ReadonlySet<string> = new Set([OCI_INDEX, DOCKER_MANIFEST_LIST]);

/** Reads a manifest of the image. */
type ReadManifest = (descriptor: Descriptor) => Promise<Uint8Array>;

/** `docker load` takes one platform: this one, or else the first. The same on every machine, as the archive is. */
const USUAL_PLATFORM = { os: "linux", architecture: "amd64" };

/**
 * manifest.json beside a layout's index, as Docker 25 and later write both.
 * @returns undefined for an image that Docker could not run: an artifact, or one with encrypted layers
 */
export async function dockerManifest(root: IndexEntry, read: ReadManifest): Promise<Uint8Array | undefined> {
  const manifest = await runnableManifest(root, read);
  if (manifest === undefined || !isPlainImage(manifest)) return undefined;
  const name = root.annotations?.[CONTAINERD_NAME];
  const image: SavedImage = {
    Config: blobName(manifest.config.digest),
    RepoTags: name === undefined ? null : [familiarName(name)],
    Layers: manifest.layers.map(({ digest }) => blobName(digest)),
  };
  return writeJson([image]);
}

/** An archive's root entry with its names. A tag that is a whole name ("example.com/app:1.0") is containerd's as well. */
export function named(root: IndexEntry, tag: string): IndexEntry {
  const { [CONTAINERD_NAME]: _other, ...annotations } = root.annotations ?? {};
  const full = fullName(tag);
  return {
    ...root,
    annotations: { ...annotations, [REF_NAME]: tag, ...(full !== undefined && { [CONTAINERD_NAME]: full }) },
  };
}

/** "docker.io/library/app:1.0" for "app:1.0"; undefined for a mere tag. */
function fullName(text: string): string | undefined {
  if (!/:[^/]+$/.test(text)) return undefined;
  try {
    return formatName(parseName(text));
  } catch (error) {
    if (error instanceof DecoderError) return undefined;
    throw error;
  }
}

/** Docker's own short form. */
function familiarName(full: string): string {
  const prefix = `${DOCKER_HUB}/`;
  return full.startsWith(prefix) ? full.slice(prefix.length).replace(/^library\//, "") : full;
}

async function runnableManifest(root: IndexEntry, read: ReadManifest): Promise<Manifest | undefined> {
  const bytes = await read(root);
  if (MANIFEST_TYPES.has(root.mediaType)) return parseManifest(bytes, `manifest ${root.digest}`).value;
  if (!INDEX_TYPES.has(root.mediaType)) return undefined;
  const { manifests } = parseIndex(bytes, `index ${root.digest}`).value;
  const images = manifests.filter(({ platform }) => platform !== undefined && platform.os !== "unknown");
  const usual = images.find(
    ({ platform }) =>
      platform?.os === USUAL_PLATFORM.os && platform.architecture === USUAL_PLATFORM.architecture,
  );
  const [chosen = usual] = usual === undefined ? images : [usual];
  return chosen && (await runnableManifest(chosen, read));
}

function isPlainImage({ config, layers }: Manifest): boolean {
  const hasConfig = config.mediaType === OCI_CONFIG || config.mediaType === DOCKER_CONFIG;
  return hasConfig && layers.every(({ mediaType }) => parseLayerType(mediaType)?.encrypted === false);
}
