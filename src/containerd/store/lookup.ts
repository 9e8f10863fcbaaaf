import { DecoderError } from "../../errors.ts";
import type { Input } from "../../io/input.ts";
import * as LIMITS from "../../limits.ts";
import type { FoundLayer, Handover, LayerBlob } from "../payload.ts";
import { type Blob, identify } from "./blobs.ts";
import { allLayers, layersInStore, meaningOf, type NamedLayer } from "./manifests.ts";
import { openBlobs } from "./open-blobs.ts";
import { blobPath, storeAt } from "./place.ts";

export interface StoreOptions {
  /** The store's folder; undefined for that of the blobs that containerd has open. */
  readonly contentStore?: string;
  /** Whether the content store may be used. */
  readonly useContentStore: boolean;
}

/**
 * Finds what manifests in containerd's content store say about the layer on standard input. The first group has those that a
 * pull leases, the second all others.
 * @param mediaType what containerd calls the layer. Descriptors that differ are left out if any agrees
 * @throws DecoderError NO_PAYLOAD, now or while the layers are iterated, with the reason; CONTENT_STORE for a folder that is
 * not a content store; IO
 */
export function searchStore(input: Input, options: StoreOptions, mediaType: string | undefined): Handover {
  if (!options.useContentStore) throw noPayload("--no-content-store forbids looking it up");
  return { layers: groups(input, options.contentStore, mediaType), parameters: new Map() };
}

function* groups(
  input: Input,
  store: string | undefined,
  mediaType: string | undefined,
): Generator<readonly FoundLayer[]> {
  const target = store === undefined ? openBlob(input) : storedBlob(input, storeAt(store));
  const seen = new Set<string>();
  let isComplete = true;
  for (const scan of layersInStore(target.store, target.digest)) {
    isComplete = scan.isComplete;
    const found = preferred(unseen(descriptorsOf(target, scan.layers), seen), mediaType);
    if (found.length > 0) yield found;
  }
  if (seen.size === 0) throw unnamed(isComplete, target.store, `${target.digest} as an encrypted layer`);
}

/** The blob that holds the layer. */
interface Target {
  readonly store: string;
  readonly digest: string;
  readonly blob: LayerBlob;
}

/** Finds the blob that containerd has open and feeds to standard input. */
function openBlob(input: Input): Target {
  const { blobs, asked, problem } = openBlobs();
  if (blobs.length === 0) throw noPayload(problem ?? `${asked} reads no blob of a content store`);
  const { blobs: alike, isRead } = identify(input, blobs);
  const blob = theOne(alike);
  const store = blobs.find(({ digest }) => digest === blob?.digest)?.store;
  if (blob === undefined || store === undefined) {
    const { size } = new Set(blobs.map(({ digest }) => digest));
    throw noPayload(`standard input matches none of the ${size} blobs that ${asked} reads`);
  }
  return { store, digest: blob.digest, blob: { file: blob.file, isInput: true, isRead } };
}

/** Finds the encrypted layer in a store that begins as standard input does. */
function storedBlob(input: Input, store: string): Target {
  const { layers, isComplete } = allLayers(store);
  const digests = new Set(layers.map(({ digest }) => digest));
  const places = [...digests].map((digest) => ({ digest, path: blobPath(store, digest) }));
  const { blobs: alike, isRead } = identify(input, places);
  const blob = theOne(alike);
  if (blob === undefined)
    throw unnamed(isComplete, store, "what arrives on standard input as an encrypted layer");
  return { store, digest: blob.digest, blob: { file: blob.file, isInput: false, isRead } };
}

/** Different blobs of one digest can't be: at most one is equal to the input. */
function theOne([blob, other]: readonly Blob[]): Blob | undefined {
  if (other !== undefined) throw new Error("bug: several blobs are equal to standard input");
  return blob;
}

function unnamed(isComplete: boolean, store: string, subject: string): DecoderError {
  const manifest = isComplete ? "manifest" : "manifest among the newest blobs";
  return noPayload(`no ${manifest} in ${store} names ${subject}`);
}

/** A descriptor with another size does not describe this blob. containerd would refuse it, too. */
function descriptorsOf({ digest, blob }: Target, layers: readonly NamedLayer[]): FoundLayer[] {
  return layers
    .filter((layer) => layer.digest === digest && (layer.size ?? blob.file.size) === blob.file.size)
    .map((descriptor) => ({ descriptor, blob }));
}

/** Keeps each descriptor once: images that share a layer usually describe it the same way. */
function unseen(candidates: readonly FoundLayer[], seen: Set<string>): FoundLayer[] {
  return candidates.filter(({ descriptor }) => {
    const meaning = meaningOf(descriptor);
    if (seen.has(meaning) || seen.size >= LIMITS.candidates) return false;
    seen.add(meaning);
    return true;
  });
}

function preferred(candidates: readonly FoundLayer[], mediaType: string | undefined): readonly FoundLayer[] {
  const agreeing = candidates.filter(({ descriptor }) => descriptor.mediaType === mediaType);
  return agreeing.length > 0 ? agreeing : candidates;
}

/** Advice for a person first, and then for the node: which versions of containerd pass a payload. */
const ADVICE =
  "for a call by hand see ctd-decoder --help; " +
  "containerd 1.6 and 1.7 pass a payload to the processors io.containerd.ocicrypt.decoder.v1.tar and ….tar.gzip, 2.1.7, 2.2.2, 2.3 " +
  'and later with use_local_image_pull = true in [plugins."io.containerd.cri.v1.images"] of a config of version 3; ' +
  "otherwise name containerd's content store with --content-store DIR";

/** @param why the descriptor could not be found either: "…, and WHY" */
function noPayload(why: string): DecoderError {
  return new DecoderError(
    "NO_PAYLOAD",
    `containerd passed no payload with the layer's descriptor on file descriptor 3, and ${why}`,
    { hint: ADVICE },
  );
}
