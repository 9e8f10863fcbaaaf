import { writeJson } from "../encoding/json-document.ts";
import { Staging, writeDurably } from "../io/staging.ts";
import { Digester } from "../spec/digester.ts";
import type { Manifest, Platform } from "../spec/manifest.ts";
import { type Compression, OCI_CONFIG, OCI_MANIFEST, plainLayerType } from "../spec/media-types.ts";
import { type FileRange, MemoryBlobs, wholeFile } from "../transport/blob.ts";
import { gzip } from "../transport/gzip.ts";
import { type ImageSource, StoredImage } from "../transport/source.ts";
import type { FilesReference } from "../transport/transport.ts";

export interface BuildOptions {
  /** Program and arguments that a container runs; the image has no entrypoint when empty. */
  readonly entrypoint: readonly string[];
  readonly platform: Platform;
}

export interface BuildSettings {
  readonly build: BuildOptions;
  /** "keep" means "none": files have no compression to keep. Undefined: gzip. */
  readonly compression: "keep" | "gzip" | "none" | undefined;
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

/** The image records no times, so the same files give the same image. */
const EPOCH = "1970-01-01T00:00:00Z";
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Makes a one-layer image of files. It exists for as long as `work` takes.
 * @throws DecoderError NOT_FOUND, BAD_IMAGE, IO; what `work` throws
 */
export async function buildImage<T>(
  files: FilesReference,
  settings: BuildSettings,
  work: (source: ImageSource) => Promise<T>,
): Promise<T> {
  const staging = await Staging.create();
  try {
    return await work(imageOf(await buildLayer(files, settings, staging), settings.build));
  } finally {
    await staging.remove();
  }
}

async function buildLayer(
  files: FilesReference,
  settings: BuildSettings,
  staging: Staging,
): Promise<BuiltLayer> {
  const compression = (settings.compression ?? "gzip") === "gzip" ? "gzip" : "none";
  const [diffId, digest] = [new Digester(), new Digester()];
  const tar = diffId.tap(files.tar(settings.signal));
  const layer = compression === "gzip" ? gzip(tar, settings.compressionLevel) : tar;
  const path = staging.newFile();
  const size = await writeDurably(path, digest.tap(layer));
  return { file: wholeFile(path, size), digest: digest.digest(), diffId: diffId.digest(), compression };
}

function imageOf(
  { file, digest, diffId, compression }: BuiltLayer,
  { entrypoint, platform }: BuildOptions,
): ImageSource {
  const blobs = new MemoryBlobs("the new image");
  blobs.addFile(digest, file);
  const config = blobs.add(
    OCI_CONFIG,
    writeJson({
      created: EPOCH,
      ...platform,
      config: { Env: [PATH], ...(entrypoint.length > 0 && { Entrypoint: entrypoint }) },
      rootfs: { type: "layers", diff_ids: [diffId] },
      history: [{ created: EPOCH, created_by: "ctd-decoder encrypt" }],
    }),
  );
  const layer = { mediaType: plainLayerType(compression), digest, size: file.size };
  const manifest: Manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer] };
  return new StoredImage(blobs.add(OCI_MANIFEST, writeJson(manifest)), blobs);
}
