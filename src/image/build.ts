import { writeJson } from "../encoding/json-document.ts";
import { stoppable } from "../io/pipe.ts";
import { Staging, writeDurably } from "../io/staging.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { Digester, digestOf } from "../spec/digester.ts";
import type { Manifest, Platform } from "../spec/manifest.ts";
import { type Compression, OCI_CONFIG, OCI_MANIFEST, plainLayerType } from "../spec/media-types.ts";
import { type Blob, type FileRange, readBlob } from "../transport/blob.ts";
import { gzip } from "../transport/gzip.ts";
import { missingBlob } from "../transport/layout.ts";
import type { Place } from "../transport/reference.ts";
import { rootfsEntries } from "../transport/rootfs.ts";
import { type ImageSource, openFile } from "../transport/source.ts";
import { packTar, tarEntries } from "../transport/tar.ts";

export interface BuildOptions {
  /** What a container runs: program and arguments. Empty: nothing is set. */
  readonly entrypoint: readonly string[];
  readonly platform: Platform;
}

export interface BuildSettings {
  readonly build: BuildOptions;
  /** "keep" is "none": a folder has no compression to keep. */
  readonly compression: "keep" | "gzip" | "none";
  readonly compressionLevel: number;
  readonly signal?: AbortSignal;
}

interface BuiltLayer {
  readonly file: FileRange;
  readonly digest: string;
  /** Of the uncompressed tar. */
  readonly diffId: string;
  readonly compression: Compression;
}

/** The same files give the same image: what happened when is not told. */
const EPOCH = "1970-01-01T00:00:00Z";
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export function isBuildable(place: Place): boolean {
  return place.kind === "rootfs" || place.kind === "tar";
}

/**
 * Makes a one-layer image of a folder or a tar archive, for as long as `work` takes.
 * @throws DecoderError NOT_FOUND, BAD_IMAGE, IO; what `work` throws
 */
export async function buildImage<T>(
  place: Place,
  settings: BuildSettings,
  work: (source: ImageSource) => Promise<T>,
): Promise<T> {
  const staging = await Staging.create();
  try {
    return await work(imageOf(await buildLayer(place, settings, staging), settings.build));
  } finally {
    await staging.remove();
  }
}

async function buildLayer(place: Place, settings: BuildSettings, staging: Staging): Promise<BuiltLayer> {
  if (place.kind === "rootfs") return await stage(packTar(rootfsEntries(place.path)), settings, staging);
  const { file, close } = await openFile(place.path, settings.signal);
  try {
    for await (const _entry of tarEntries(stoppable(readBlob(file), settings.signal), place.path)) {
      // Only whether it is a tar archive, before it becomes a layer.
    }
    return await stage(readBlob(file), settings, staging);
  } finally {
    await close();
  }
}

async function stage(
  tar: AsyncIterable<Uint8Array>,
  settings: BuildSettings,
  staging: Staging,
): Promise<BuiltLayer> {
  const compression = settings.compression === "gzip" ? "gzip" : "none";
  const [diffId, digest] = [new Digester(), new Digester()];
  const hashed = diffId.tap(stoppable(tar, settings.signal));
  const layer = compression === "gzip" ? gzip(hashed, settings.compressionLevel) : hashed;
  const path = staging.newFile();
  const size = await writeDurably(path, digest.tap(layer));
  return { file: { path, offset: 0, size }, digest: digest.digest(), diffId: diffId.digest(), compression };
}

function imageOf(
  { file, digest, diffId, compression }: BuiltLayer,
  { entrypoint, platform }: BuildOptions,
): ImageSource {
  const blobs = new Map<string, Blob>([[digest, file]]);
  const add = (mediaType: string, document: unknown): Descriptor => {
    const bytes = writeJson(document);
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    blobs.set(descriptor.digest, { bytes });
    return descriptor;
  };
  const config = add(OCI_CONFIG, {
    created: EPOCH,
    ...platform,
    config: { Env: [PATH], ...(entrypoint.length > 0 && { Entrypoint: entrypoint }) },
    rootfs: { type: "layers", diff_ids: [diffId] },
    history: [{ created: EPOCH, created_by: "ctd-decoder encrypt" }],
  });
  const layer = { mediaType: plainLayerType(compression), digest, size: file.size };
  const manifest: Manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer] };
  return {
    root: add(OCI_MANIFEST, manifest),
    blobs: {
      async locate(wanted) {
        const blob = blobs.get(wanted);
        if (blob === undefined) throw missingBlob(wanted, "the image that was made");
        return blob;
      },
    },
    close: async () => undefined,
  };
}
