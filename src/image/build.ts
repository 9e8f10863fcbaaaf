import { writeJson } from "../encoding/json-document.ts";
import { Digester } from "../io/digester.ts";
import { freeInOrder, freeing } from "../io/free.ts";
import { Staging, writeDurably } from "../io/staging.ts";
import type { Manifest, Platform } from "../spec/manifest.ts";
import { type Compression, OCI_CONFIG, OCI_MANIFEST, plainLayerType } from "../spec/media-types.ts";
import { type FileRange, MemoryBlobs, wholeFile } from "../transport/blob.ts";
import { gzipBlocks } from "../transport/gzip.ts";
import { counted } from "../transport/progress.ts";
import { type ImageSource, StoredImage } from "../transport/source.ts";
import type { FilesReference } from "../transport/transport.ts";
import { LayerPool } from "./layer-pool.ts";
import type { Running } from "./progress.ts";

export interface BuildOptions {
  /** Program and arguments that a container runs; the image has no entrypoint when empty. */
  readonly entrypoint: readonly string[];
  readonly platform: Platform;
}

/** zstd layers keep their compression in any case. */
export type LayerCompression = "keep" | "gzip" | "none";

/** How a layer is compressed before it is encrypted. */
export interface CompressionSettings {
  /** Undefined: gzip for what is stored uncompressed, and as they are for all other layers. */
  readonly kind: LayerCompression | undefined;
  /** zlib's, 0 to 9. */
  readonly level: number;
}

interface BuiltLayer {
  readonly file: FileRange;
  readonly digest: string;
  /** Digest of the uncompressed tar. */
  readonly diffId: string;
  readonly compression: Compression;
}

/** The image records no times, so the same files give the same image. */
const EPOCH = "1970-01-01T00:00:00Z";
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Makes a one-layer image of files. It exists until it is closed.
 * @throws DecoderError NOT_FOUND, BAD_IMAGE, IO, INTERRUPTED
 */
export async function buildImage(
  reference: FilesReference,
  options: BuildOptions,
  compression: CompressionSettings,
  running: Running,
): Promise<ImageSource> {
  const { progress, threads, signal } = running;
  const files = await reference.open(running);
  const pool = new LayerPool(threads);
  const stop = () => void pool.close();
  signal?.addEventListener("abort", stop);
  let staging: Staging | undefined;
  const close = async () => await staging?.remove();
  try {
    staging = await Staging.create();
    progress.begin({ kind: "packing", bytes: files.bytes });
    const layer = await buildLayer(counted(files.tar, progress), compression, pool, staging.newFile());
    return imageOf(layer, options, close);
  } catch (error) {
    await close();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    await pool.close();
    await files.close();
  }
}

async function buildLayer(
  tar: AsyncIterable<Uint8Array>,
  { kind = "gzip", level }: CompressionSettings,
  pool: LayerPool,
  path: string,
): Promise<BuiltLayer> {
  const [diffId, digest] = [new Digester(), new Digester()];
  const hashed = diffId.tap(tar);
  // "keep" means "none" here: files have no compression to keep.
  const isCompressed = kind === "gzip";
  const layer = isCompressed ? compressed(hashed, level, pool) : hashed;
  const size = await writeDurably(path, digest.tap(layer), { onWritten: freeInOrder });
  return {
    file: wholeFile(path, size),
    digest: digest.digest(),
    diffId: diffId.digest(),
    compression: isCompressed ? "gzip" : "none",
  };
}

/** Compresses blocks on all threads of the pool, and yields them in order. */
async function* compressed(
  tar: AsyncIterable<Uint8Array>,
  level: number,
  pool: LayerPool,
): AsyncGenerator<Uint8Array> {
  const members: Promise<Uint8Array>[] = [];
  const spare: Uint8Array<ArrayBuffer>[] = [];
  for await (const block of gzipBlocks(freeing(tar), spare)) {
    const member = compressedBlock(block, level, pool, spare);
    // An error is thrown when the block's turn comes; not at all if an earlier one has failed.
    member.catch(() => undefined);
    members.push(member);
    // One more than threads, so that none waits while this one reads.
    if (members.length <= pool.size) continue;
    const first = members.shift();
    if (first !== undefined) yield await first;
  }
  for (const member of members) yield await member;
}

/** @param spare receives the block's memory afterwards */
async function compressedBlock(
  block: Uint8Array<ArrayBuffer>,
  level: number,
  pool: LayerPool,
  spare: Uint8Array<ArrayBuffer>[],
): Promise<Uint8Array> {
  const output = await pool.run({ kind: "compress", block, level }, () => undefined);
  if (output.member === undefined) throw new Error("bug: a block was not compressed");
  if (output.block !== undefined) spare.push(output.block);
  return output.member;
}

function imageOf(
  { file, digest, diffId, compression }: BuiltLayer,
  { entrypoint, platform }: BuildOptions,
  close: () => Promise<void>,
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
  return new StoredImage(blobs.add(OCI_MANIFEST, writeJson(manifest)), blobs, { close });
}
