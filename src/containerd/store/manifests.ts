import type { Stats } from "node:fs";
import { Budget } from "../../budget.ts";
import { goField, parseJsonObject } from "../../encoding/json.ts";
import { DecoderError } from "../../errors.ts";
import { openRegularFile, readFully } from "../../io/file.ts";
import * as LIMITS from "../../limits.ts";
import { files } from "../../process/files.ts";
import { isEncryptionAnnotation } from "../../spec/annotations.ts";
import { DIGEST_ALGORITHMS, parseDigest } from "../../spec/digest.ts";
import { parseLayerType } from "../../spec/media-types.ts";
import { type LayerDescriptor, parseDescriptor } from "../payload.ts";
import { leasedDigests } from "./leases.ts";
import { blobPath } from "./place.ts";

/** A layer's descriptor from a manifest in the store. Its digest is checked. */
export interface NamedLayer extends LayerDescriptor {
  readonly digest: string;
}

interface Scan {
  readonly layers: readonly NamedLayer[];
  /** False when the limits left out a part of the store. */
  readonly isComplete: boolean;
}

const HEAD_BYTES = 16 * 1024;

/**
 * Finds the descriptors of a blob in the manifests of a store. Manifests held by current pulls come first, then all others.
 * Indexes are not followed, since the manifests that they name are in the store too.
 */
export function* layersInStore(store: string, digest: string): Generator<Scan> {
  for (const { paths, isComplete } of likelyPaths(store, digest)) {
    const found = scan(paths, digest);
    yield { ...found, isComplete: found.isComplete && isComplete };
  }
}

/** Finds the encrypted layers in all manifests of a store, newest manifests first. */
export function allLayers(store: string): Scan {
  const { paths, isComplete } = allPaths(store);
  const found = scan(paths, undefined);
  return { ...found, isComplete: found.isComplete && isComplete };
}

/** Finds the descriptors of a blob in all manifests of a store. Large manifests come last: a few could take all the time. */
export function smallestFirst(store: string, digest: string): readonly NamedLayer[] {
  const { blobs } = smallBlobs(store);
  const paths = blobs.sort((a, b) => a.size - b.size).map(({ path }) => path);
  return scan(paths.slice(0, LIMITS.storeManifests), digest).layers;
}

interface Paths {
  readonly paths: readonly string[];
  /** False when the limits left out a part of the store. */
  readonly isComplete: boolean;
}

/** The blobs of a store that may be manifests. Those leased together with a blob come first, then all, newest first. */
export function* likelyPaths(store: string, digest: string | undefined): Generator<Paths> {
  const leases = leasedDigests(store).filter((held) => digest === undefined || held.includes(digest));
  const leased = [...new Set(leases.flat())].slice(0, LIMITS.leasedBlobs);
  yield { paths: leased.map((blob) => blobPath(store, blob)), isComplete: true };
  yield allPaths(store);
}

function allPaths(store: string): Paths {
  const { blobs, isComplete } = smallBlobs(store);
  const paths = blobs.sort((a, b) => b.modified - a.modified).map(({ path }) => path);
  return {
    paths: paths.slice(0, LIMITS.storeManifests),
    isComplete: isComplete && paths.length <= LIMITS.storeManifests,
  };
}

function scan(paths: readonly string[], digest: string | undefined): Scan {
  const budget = new Budget({ clockMs: LIMITS.storeScanMs });
  const layers: NamedLayer[] = [];
  for (const path of paths) {
    if (!budget.take()) return { layers, isComplete: false };
    const bytes = readJson(path);
    if (bytes !== null) layers.push(...layersIn(bytes, digest));
  }
  return { layers, isComplete: true };
}

interface SmallBlob {
  readonly path: string;
  /** Last change, in ms since the epoch. */
  readonly modified: number;
  /** In bytes. */
  readonly size: number;
}

/** The blobs that are small enough for a manifest. */
function smallBlobs(store: string): { blobs: SmallBlob[]; isComplete: boolean } {
  const budget = new Budget({ clockMs: LIMITS.storeScanMs });
  const blobs: SmallBlob[] = [];
  const paths = DIGEST_ALGORITHMS.flatMap((algorithm) => namesIn(`${store}/blobs/${algorithm}`));
  let isComplete = paths.length <= LIMITS.storeBlobs;
  for (const path of paths.slice(0, LIMITS.storeBlobs)) {
    if (!budget.take()) {
      isComplete = false;
      break;
    }
    const stat = statOf(path);
    if (!stat?.isFile() || stat.size > LIMITS.manifestBytes) continue;
    blobs.push({ path, modified: stat.mtimeMs, size: stat.size });
  }
  return { blobs, isComplete };
}

/** Returns undefined for a blob that has since been pruned, or can't be examined. */
function statOf(path: string): Stats | undefined {
  try {
    return files.statSync(path);
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return files.readdirSync(folder).map((name) => `${folder}/${name}`);
  } catch {
    return [];
  }
}

/**
 * Returns the encrypted layers that a document names, if it is a manifest. An image may have a layer more than once. It needs
 * only a few descriptors of the layer, and more could crowd out those of other images.
 * @param digest restricts the result to layers with this digest
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

/** What decides about a layer's plaintext: the media type, the wrapped keys and the public options. */
export function meaningOf({ mediaType, annotations }: LayerDescriptor): string {
  const encryption = Object.entries(annotations).filter(([name]) => isEncryptionAnnotation(name));
  return JSON.stringify([mediaType, encryption.sort()]);
}

/** Reads a blob if it may be a manifest, that is if it is small and begins like JSON. Of other blobs, little is read. */
export function readJson(path: string): Buffer<ArrayBuffer> | null {
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
    // The blob has since been pruned, so it names nothing.
    return null;
  } finally {
    if (fd !== undefined) files.closeSync(fd);
  }
}

const JSON_OBJECT = /^[ \t\r\n]*\{/;
