import { DecoderError } from "../errors.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { Manifest } from "../spec/manifest.ts";
import {
  DOCKER_CONFIG,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_MANIFEST,
  parseLayerType,
} from "../spec/media-types.ts";
import type { ImageSource } from "../transport/source.ts";
import type { DestinationReference, SourceReference } from "../transport/transport.ts";
import { LayerPool } from "./layer-pool.ts";
import type { BlobTransfer, LayerReport, Progress } from "./progress.ts";
import { Rebuilder } from "./rebuild.ts";
import type { ChosenLayer } from "./select.ts";
import { type IndexNode, type ManifestNode, manifestsOf, type Node, nameOf } from "./tree.ts";
import { Workshop } from "./workshop.ts";

/** From where to where, and how. */
export interface RewriteOptions {
  readonly destination: DestinationReference;
  /** Moves a tag, or replaces an archive, that is there already. */
  readonly replace: boolean;
  readonly progress: Progress;
  /** Undefined: as many as cores. */
  readonly threads?: number;
  /** Whether to ask a registry, at the end, if something refers to the image by its old digest. */
  readonly looksForReferrers?: boolean;
  /** Stops the work; the target then stays as it was. */
  readonly signal?: AbortSignal;
}

/** What is done to one layer. */
export interface LayerChange extends ChosenLayer {
  readonly action: LayerReport["action"];
  /** Brings the layer's new blob into the destination. */
  work(workshop: Workshop): Promise<MadeLayer>;
}

/** A layer that is in the destination. */
export interface MadeLayer {
  readonly descriptor: Descriptor;
  readonly transfer: BlobTransfer;
}

export interface RewriteResult {
  /** Of the new manifest or index. */
  readonly digest: string;
  readonly mediaType: string;
  readonly layers: readonly LayerReport[];
  /** Layers of images that stayed as they were. */
  readonly keptLayers: number;
  /** Attestations and the like, which stay readable. */
  readonly attachments: number;
  /** Layers and other blobs that stayed as they were. */
  readonly blobs: readonly KeptBlob[];
  /** Whether signatures and the like refer to the image by its old digest, as far as was looked for them. */
  readonly hadReferrers: boolean;
}

export interface KeptBlob {
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
  readonly transfer: BlobTransfer;
}

/**
 * Writes an image with some layers changed. All is written or nothing.
 * @throws DecoderError EXISTS and IO of the target; what is wrong with a blob; what the changes throw
 */
export async function rewriteImage(
  source: ImageSource,
  tree: IndexNode | ManifestNode,
  changes: readonly LayerChange[],
  options: RewriteOptions,
): Promise<RewriteResult> {
  const { progress, signal } = options;
  checkRunning(signal);
  const destination = await options.destination.open({ ...options, source });
  const pool = new LayerPool(options.threads);
  const stop = () => void pool.close();
  signal?.addEventListener("abort", stop);
  try {
    const workshop = new Workshop({ source, destination, pool, progress, names: layerNames(tree) });
    const kept = keptBlobs(tree, changes);
    progress.begin({
      layers: changes.length,
      bytes: totalBytes([...changes.map((it) => it.descriptor), ...kept]),
    });
    const [layers, transfers] = await Promise.all([
      Promise.all(changes.map((change) => perform(change, workshop, progress))),
      Promise.all(kept.map((blob) => workshop.copy(blob))),
    ]);
    const made = layers.map(({ descriptor }) => descriptor);
    const rebuilder = new Rebuilder(source, destination, (node) => edited(node, changes, made));
    const { root, bytes } = await rebuilder.rebuild(tree);
    checkRunning(signal);
    await destination.commit(root, bytes);
    const { digest, mediaType } = root;
    const blobs = kept.map((blob, i) => ({
      digest: blob.digest,
      size: blob.size,
      transfer: transfers[i] ?? "none",
    }));
    const hadReferrers =
      options.looksForReferrers === true && digest !== source.root.digest && (await source.hasReferrers?.());
    return {
      digest,
      mediaType,
      ...summary(tree, changes, layers),
      blobs,
      hadReferrers: hadReferrers === true,
    };
  } catch (error) {
    checkRunning(signal);
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    await pool.close();
    await destination.close();
  }
}

/** Opens an image, reads its manifests, and closes it when the work is done. */
export async function withImage<T>(
  reference: SourceReference,
  signal: AbortSignal | undefined,
  work: (source: ImageSource) => Promise<T>,
): Promise<T> {
  const source = await reference.open(signal);
  try {
    return await work(source);
  } finally {
    await source.close();
  }
}

/** @throws DecoderError when the work was stopped, whatever that looks like inside */
function checkRunning(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new DecoderError("INTERRUPTED", "interrupted; the destination is as it was");
}

async function perform(change: LayerChange, workshop: Workshop, progress: Progress): Promise<MadeLayer> {
  const made = await change.work(workshop);
  progress.finish(report(change, made));
  return made;
}

function report({ node, position, action, descriptor }: LayerChange, made: MadeLayer): LayerReport {
  const { digest, size, mediaType } = made.descriptor;
  const { transfer } = made;
  return {
    platform: nameOf(node),
    position,
    action,
    from: descriptor.digest,
    digest,
    size,
    mediaType,
    transfer,
  };
}

/** What the layers of a tree are called in messages. One that several manifests share has the name of its first place. */
function layerNames(tree: Node): Map<string, string> {
  const names = new Map<string, string>();
  for (const node of manifestsOf(tree)) {
    for (const [position, { digest }] of node.document.value.layers.entries()) {
      if (!names.has(digest)) names.set(digest, `layer ${position}`);
    }
  }
  return names;
}

/** Every blob of the tree that no change takes the place of. */
function keptBlobs(tree: Node, changes: readonly LayerChange[]): Descriptor[] {
  const changed = new Map<ManifestNode, Set<number>>();
  for (const { node, position } of changes) changed.set(node, (changed.get(node) ?? new Set()).add(position));
  const kept: Descriptor[] = [...others(tree)];
  for (const node of manifestsOf(tree)) {
    const { config, layers } = node.document.value;
    kept.push(config, ...layers.filter((_, position) => !changed.get(node)?.has(position)));
  }
  return kept;
}

function* others(node: Node): Generator<Descriptor> {
  if (node.kind === "other") yield node.descriptor;
  if (node.kind === "index") for (const child of node.children) yield* others(child);
}

function totalBytes(blobs: readonly Descriptor[]): number {
  const sizes = new Map(blobs.map(({ digest, size }) => [digest, size]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

function edited(node: ManifestNode, changes: readonly LayerChange[], made: readonly Descriptor[]): Manifest {
  const replacements = new Map<number, Descriptor>();
  changes.forEach((change, i) => {
    const descriptor = made[i];
    if (change.node === node && descriptor !== undefined) replacements.set(change.position, descriptor);
  });
  const old = node.document.value;
  if (replacements.size === 0) return old;
  return normalised({
    ...old,
    layers: old.layers.map((layer, position) => replacements.get(position) ?? layer),
  });
}

/** Docker's manifest types, which have no encrypted form, in OCI's words. */
function normalised(manifest: Manifest): Manifest {
  const { mediaType, config } = manifest;
  return {
    ...manifest,
    ...(mediaType === DOCKER_MANIFEST && { mediaType: OCI_MANIFEST }),
    config: config.mediaType === DOCKER_CONFIG ? { ...config, mediaType: OCI_CONFIG } : config,
    layers: manifest.layers.map(normalisedLayer),
  };
}

function normalisedLayer(layer: Descriptor): Descriptor {
  const type = parseLayerType(layer.mediaType);
  return type === undefined || type.encrypted || type.oci === layer.mediaType
    ? layer
    : { ...layer, mediaType: type.oci };
}

function summary(
  tree: Node,
  changes: readonly LayerChange[],
  made: readonly MadeLayer[],
): Pick<RewriteResult, "layers" | "keptLayers" | "attachments"> {
  const manifests = [...manifestsOf(tree)];
  const images = manifests.filter((node) => node.role === "image");
  const all = images.reduce((sum, node) => sum + node.document.value.layers.length, 0);
  return {
    layers: changes.flatMap((change, i) => {
      const layer = made[i];
      return layer === undefined ? [] : [report(change, layer)];
    }),
    keptLayers: all - changes.length,
    attachments: manifests.length - images.length,
  };
}
