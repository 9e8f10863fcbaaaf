import { closeSync, readdirSync, statSync } from "node:fs";
import { goField, parseJsonObject } from "../../encoding/json.ts";
import { DecoderError } from "../../errors.ts";
import { openRegularFile, readFully } from "../../io/file.ts";
import { LIMITS } from "../../limits.ts";
import { DIGEST_ALGORITHMS, parseDigest } from "../../spec/digest.ts";
import { parseLayerType } from "../../spec/media-types.ts";
import { type LayerDescriptor, parseDescriptor } from "../payload.ts";
import { blobPath } from "./blobs.ts";
import { leasedDigests } from "./leases.ts";

/** A layer's descriptor as a manifest in the store has it, so its digest is known. */
export interface NamedLayer extends LayerDescriptor {
  readonly digest: string;
}

export interface Scan {
  readonly layers: readonly NamedLayer[];
  /** False when the store has more than the limits allow to look at. */
  readonly isComplete: boolean;
}

const HEAD_BYTES = 16 * 1024;
/** Where a manifest that was just pulled is; a few ms to look at. */
const NEWEST_BLOBS = 256;

/**
 * The encrypted layers that manifests in the store name, or only those with `digest` if that is known: in manifests that
 * pulls hold now, then in the newest blobs, then in all. An index names manifests that lie in the store themselves, so
 * none is followed.
 */
export function* layersInStore(store: string, digest: string | undefined): Generator<Scan> {
  for (const { paths, isComplete } of likelyPaths(store, digest)) {
    const found = scan(paths, digest);
    yield { ...found, isComplete: found.isComplete && isComplete };
  }
}

/** Blobs of a store that may be manifests, in the order of `layersInStore`. */
export function* likelyPaths(
  store: string,
  digest: string | undefined,
): Generator<{ readonly paths: readonly string[]; readonly isComplete: boolean }> {
  const leases = leasedDigests(store).filter((held) => digest === undefined || held.includes(digest));
  const leased = [...new Set(leases.flat())].slice(0, LIMITS.leasedBlobs);
  yield { paths: leased.map((blob) => blobPath(store, blob)), isComplete: true };
  const { paths, isComplete } = smallBlobs(store);
  yield { paths: paths.slice(0, NEWEST_BLOBS), isComplete: true };
  yield {
    paths: paths.slice(NEWEST_BLOBS, LIMITS.storeManifests),
    isComplete: isComplete && paths.length <= LIMITS.storeManifests,
  };
}

function scan(paths: readonly string[], digest: string | undefined): Scan {
  const deadline = performance.now() + LIMITS.storeScanMs;
  const layers: NamedLayer[] = [];
  for (const path of paths) {
    if (performance.now() > deadline) return { layers, isComplete: false };
    const bytes = readJson(path);
    if (bytes !== null) layers.push(...layersIn(bytes, digest));
  }
  return { layers, isComplete: true };
}

/** The blobs that are small enough for a manifest, the newest first. */
function smallBlobs(store: string): { paths: string[]; isComplete: boolean } {
  const deadline = performance.now() + LIMITS.storeScanMs;
  const blobs: { path: string; modified: number }[] = [];
  const paths = DIGEST_ALGORITHMS.flatMap((algorithm) => namesIn(`${store}/blobs/${algorithm}`));
  let isComplete = paths.length <= LIMITS.storeBlobs;
  for (const path of paths.slice(0, LIMITS.storeBlobs)) {
    if (performance.now() > deadline) {
      isComplete = false;
      break;
    }
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isFile() && stat.size <= LIMITS.manifestBytes) blobs.push({ path, modified: stat.mtimeMs });
  }
  blobs.sort((a, b) => b.modified - a.modified);
  return { paths: blobs.map(({ path }) => path), isComplete };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => `${folder}/${name}`);
  } catch {
    return [];
  }
}

/**
 * The encrypted layers that a document names, if it is a manifest: only those with the digest, if one is given. An image may
 * have a layer more than once; that it has more descriptors of it than a few is no image's need, but could crowd out others'.
 */
export function layersIn(bytes: Buffer, digest: string | undefined): NamedLayer[] {
  if (digest !== undefined && !bytes.includes(digest)) return [];
  const layers = goField(parseJsonObject(bytes), "layers");
  if (!Array.isArray(layers) || layers.length > LIMITS.layers) return [];
  const counts = new Map<string, number>();
  return layers.flatMap((value) => {
    const layer = layerOf(value);
    if (layer === null || (digest !== undefined && layer.digest !== digest)) return [];
    const count = (counts.get(layer.digest) ?? 0) + 1;
    counts.set(layer.digest, count);
    return count <= LIMITS.candidatesOfManifest ? layer : [];
  });
}

function layerOf(value: unknown): NamedLayer | null {
  try {
    const layer = parseDescriptor(value);
    const { digest, mediaType } = layer;
    if (digest === undefined || parseDigest(digest) === undefined || !parseLayerType(mediaType)?.encrypted)
      return null;
    return { ...layer, digest };
  } catch (error) {
    if (error instanceof DecoderError) return null;
    throw error;
  }
}

/** A blob's bytes if it may be a manifest: small, and beginning as JSON does. Most are layers, of which little is read. */
export function readJson(path: string): Buffer | null {
  let fd: number | undefined;
  try {
    const file = openRegularFile(path);
    fd = file.fd;
    const { size } = file;
    if (size > LIMITS.manifestBytes) return null;
    const head = Buffer.allocUnsafe(Math.min(size, HEAD_BYTES));
    if (readFully(fd, head, 0) < head.length || !JSON_OBJECT.test(head.toString("latin1", 0, 64)))
      return null;
    if (head.length === size) return head;
    const bytes = Buffer.allocUnsafe(size);
    head.copy(bytes);
    const rest = bytes.subarray(head.length);
    return readFully(fd, rest, head.length) === rest.length ? bytes : null;
  } catch {
    // Pruned meanwhile: it names nothing any more.
    return null;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

const JSON_OBJECT = /^[ \t\r\n]*\{/;
