import { existsSync } from "node:fs";
import { DecoderError } from "../../errors.ts";
import type { Input } from "../../io/input.ts";
import { LIMITS } from "../../limits.ts";
import { isEncryptionAnnotation } from "../../spec/annotations.ts";
import type { FoundLayer, Handover } from "../payload.ts";
import { type Blob, type BlobPlace, blobPath, identify } from "./blobs.ts";
import { layersInStore, type NamedLayer } from "./manifests.ts";
import { openBlobs } from "./open-blobs.ts";

export interface StoreOptions {
  /** The store's folder; undefined: the one of the blobs that containerd has open. */
  readonly contentStore?: string;
  /** Whether to look at all. */
  readonly useContentStore: boolean;
}

/**
 * What manifests in containerd's content store say of the layer on standard input, of which nothing is taken: first
 * those of the pulls under way, then those of all manifests.
 * @param mediaType what containerd says the layer is: descriptors that say otherwise are left out if any agrees
 * @throws DecoderError NO_PAYLOAD, now or when the candidates are asked for, saying why there are none; CONTENT_STORE
 * for a folder that is no content store
 */
export function searchStore(input: Input, options: StoreOptions, mediaType: string | undefined): Handover {
  if (!options.useContentStore) throw noPayload("--no-content-store forbids to look for it");
  return { layers: candidates(input, options.contentStore, mediaType), parameters: new Map() };
}

function* candidates(
  input: Input,
  store: string | undefined,
  mediaType: string | undefined,
): Generator<readonly FoundLayer[]> {
  const search = store === undefined ? openLayer(input) : anyLayer(input, storeAt(store));
  const seen = new Set<string>();
  let isComplete = true;
  for (const scan of layersInStore(search.store, search.digest)) {
    isComplete = scan.isComplete;
    const found = preferred(unseen(search.match(scan.layers), seen), mediaType);
    if (found.length > 0) yield found;
  }
  if (seen.size > 0) return;
  const manifest = isComplete ? "manifest" : "manifest among the newest blobs";
  throw noPayload(`no ${manifest} in ${search.store} names ${search.subject}`);
}

interface Search {
  readonly store: string;
  /** The layer's, if it is known without its manifest. */
  readonly digest: string | undefined;
  /** What is looked for, for messages. */
  readonly subject: string;
  match(layers: readonly NamedLayer[]): FoundLayer[];
}

/** Looks for the blob that containerd has open and feeds to this process. */
function openLayer(input: Input): Search {
  const { blobs, asked, problem } = openBlobs();
  if (blobs.length === 0) throw noPayload(problem ?? `${asked} reads no blob of a content store`);
  const blob = theOne(input, blobs);
  const store = blobs.find(({ digest }) => digest === blob?.digest)?.store;
  if (blob === null || store === undefined) {
    const { size } = new Set(blobs.map(({ digest }) => digest));
    throw noPayload(`what arrives on standard input is none of the ${size} blobs that ${asked} reads`);
  }
  return {
    store,
    digest: blob.digest,
    subject: `${blob.digest} as an encrypted layer`,
    match: (layers) => candidatesFor(blob, true, layers),
  };
}

/** Looks for any layer in the store that begins as standard input does. */
function anyLayer(input: Input, store: string): Search {
  return {
    store,
    digest: undefined,
    subject: "what arrives on standard input as an encrypted layer",
    match: (layers) => {
      const digests = new Set(layers.map(({ digest }) => digest));
      const places = [...digests].map((digest) => ({ digest, path: blobPath(store, digest) }));
      const blob = theOne(input, places);
      return blob === null ? [] : candidatesFor(blob, false, layers);
    },
  };
}

function theOne(input: Input, places: readonly BlobPlace[]): Blob | null {
  const [blob, other] = identify(input, places);
  if (other !== undefined)
    throw noPayload(
      "several layers begin with what arrives on standard input, for too long to tell them apart",
    );
  return blob ?? null;
}

/** A descriptor of another size is not of this blob: containerd itself would refuse it. */
function candidatesFor(
  { digest, file }: Blob,
  isInput: boolean,
  layers: readonly NamedLayer[],
): FoundLayer[] {
  return layers
    .filter((layer) => layer.digest === digest && (layer.size ?? file.size) === file.size)
    .map((descriptor) => ({ descriptor, blob: { file, isInput } }));
}

/** Each descriptor once, and never again: images that share a layer mostly name it in the same way. */
function unseen(candidates: readonly FoundLayer[], seen: Set<string>): FoundLayer[] {
  return candidates.filter(({ descriptor: { mediaType, annotations } }) => {
    const encryption = Object.entries(annotations).filter(([name]) => isEncryptionAnnotation(name));
    const content = JSON.stringify([mediaType, encryption.sort()]);
    if (seen.has(content) || seen.size >= LIMITS.candidates) return false;
    seen.add(content);
    return true;
  });
}

function preferred(candidates: readonly FoundLayer[], mediaType: string | undefined): readonly FoundLayer[] {
  const agreeing = candidates.filter(({ descriptor }) => descriptor.mediaType === mediaType);
  return agreeing.length > 0 ? agreeing : candidates;
}

/**
 * The store that holds a layer: the one named, or the one whose blob containerd has open.
 * @throws DecoderError CONTENT_STORE
 */
export function storeOf(digest: string, contentStore: string | undefined): string {
  if (contentStore !== undefined) return storeAt(contentStore);
  const { blobs, asked, problem } = openBlobs();
  const store = blobs.find((blob) => blob.digest === digest)?.store;
  if (store !== undefined) return store;
  throw new DecoderError(
    "CONTENT_STORE",
    problem ?? `${asked} does not read ${digest} from a content store`,
    {
      hint: "--content-store names containerd's folder",
    },
  );
}

/** The folder with `blobs` in it: the one named, or that of the plugin in containerd's root. */
function storeAt(folder: string): string {
  const found = [folder, `${folder}/${CONTENT_PLUGIN}`].find((it) => existsSync(`${it}/blobs`));
  if (found !== undefined) return found;
  throw new DecoderError("CONTENT_STORE", `${folder} is no content store: there are no blobs in it`, {
    hint: `--content-store names a folder such as /var/lib/containerd/${CONTENT_PLUGIN}`,
  });
}

const CONTENT_PLUGIN = "io.containerd.content.v1.content";

/** Which containerds pass a payload. */
const WHO_PASSES =
  "containerd 1.6 and 1.7 pass it to the processors io.containerd.ocicrypt.decoder.v1.tar and ….tar.gzip, 2.1.7, 2.2.2, 2.3 " +
  'and later with use_local_image_pull = true in [plugins."io.containerd.cri.v1.images"] of a config of version 3; ' +
  "otherwise name containerd's content store with --content-store DIR; for a call by hand see ctd-decoder --help";

/** @param why the descriptor could not be found either: "…, and WHY" */
function noPayload(why: string): DecoderError {
  return new DecoderError(
    "NO_PAYLOAD",
    `containerd passed no payload with the layer's descriptor on file descriptor 3, and ${why}`,
    { hint: WHO_PASSES },
  );
}
