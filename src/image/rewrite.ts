import { DecoderError } from "../errors.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { IndexEntry, Manifest } from "../spec/manifest.ts";
import {
  DOCKER_CONFIG,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_MANIFEST,
  parseLayerType,
} from "../spec/media-types.ts";
import type { ImageDestination } from "../transport/destination.ts";
import type { ImageSource } from "../transport/source.ts";
import type { DestinationReference } from "../transport/transport.ts";
import { LayerPool } from "./layer-pool.ts";
import type { BlobTransfer, LayerReport, Progress, Running } from "./progress.ts";
import { Rebuilder } from "./rebuild.ts";
import { compareRecipients } from "./recipients.ts";
import type { ChosenLayer } from "./select.ts";
import {
  type AbsentInfo,
  absentIn,
  type ImageTree,
  type ManifestNode,
  manifestsOf,
  type Node,
  nameOf,
  readTree,
} from "./tree.ts";
import { Workshop } from "./workshop.ts";

/** Where the new image goes. */
export interface Into {
  readonly destination: DestinationReference;
  /** Moves an existing tag, or replaces an existing archive. */
  readonly replace: boolean;
  /** Whether to ask a registry, at the end, if something refers to the image by its old digest. */
  readonly looksForReferrers?: boolean;
}

/** The work of one command on an image. */
interface Rewriting {
  /** Whether the new image has encrypted layers in any case. */
  readonly encrypts: boolean;
  /** Whether opening costs work that would be lost if the destination can't be written. */
  readonly opensSlowly: boolean;
  /** Whether `plan` needs the platforms. In a registry, a platform's name in messages is not worth a request. */
  readonly needsPlatforms: boolean;
  open(): Promise<ImageSource>;
  /** Decides what is done to which layer. All keys are found here, before the first layer is read. */
  plan(tree: ImageTree, source: ImageSource): Promise<readonly LayerChange[]>;
}

/** What is done to one layer. */
export interface LayerChange extends ChosenLayer {
  readonly action: LayerReport["action"];
  /** Brings the layer's new blob into the destination. */
  work(workshop: Workshop): Promise<MadeLayer>;
}

/** A layer whose blob is in the destination. */
interface MadeLayer {
  readonly descriptor: Descriptor;
  readonly transfer: BlobTransfer;
}

export interface RewriteResult {
  /** Digest of the new manifest or index. */
  readonly digest: string;
  readonly mediaType: string;
  readonly layers: readonly LayerReport[];
  /** Number of layers that are as before. */
  readonly keptLayers: number;
  /** Number of attestations and the like, which are not encrypted. */
  readonly attachments: number;
  /** Entries of indexes that were left out, since the source lacks their blobs. */
  readonly absent: readonly AbsentInfo[];
  /** Layers and other blobs that are as before. */
  readonly blobs: readonly KeptBlob[];
  /** Whether signatures and the like refer to the image by its old digest, if that was looked for. */
  readonly hadReferrers: boolean;
}

interface KeptBlob {
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
  readonly transfer: BlobTransfer;
}

/**
 * Writes an image with some of its layers changed: all of it, or nothing.
 * @throws DecoderError what the destination, the source and the changes throw; the destination is then as it was
 */
export async function rewriteImage(
  rewriting: Rewriting,
  into: Into,
  running: Running,
): Promise<RewriteResult> {
  const { signal } = running;
  checkRunning(signal);
  let site: Site | undefined;
  try {
    site = await openSite(rewriting, into, running);
    const readsConfigurations = rewriting.needsPlatforms || site.source.isRemote !== true;
    const tree = await readTree(site.source, { readsConfigurations });
    const changes = await rewriting.plan(tree, site.source);
    const result = await carryOut(site, { tree, changes }, running);
    const looks = into.looksForReferrers === true && result.digest !== site.source.root.digest;
    return { ...result, hadReferrers: looks && (await site.source.hasReferrers?.()) === true };
  } catch (error) {
    checkRunning(signal);
    throw error;
  } finally {
    await site?.destination.close();
    await site?.source.close();
  }
}

/** The two ends of a rewrite. */
interface Site {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
}

/** What is read of an image, and what is to be changed. */
interface Plan {
  readonly tree: ImageTree;
  readonly changes: readonly LayerChange[];
}

/** A registry that knows the source can save requests. But no long work is done for a destination that can't be written. */
async function openSite(
  rewriting: Rewriting,
  { destination, replace }: Into,
  { progress, signal }: Running,
): Promise<Site> {
  if (rewriting.encrypts && !destination.holdsEncrypted) {
    throw new DecoderError("USAGE", `${destination.text} can't hold an image with encrypted layers`, {
      hint: "write it as oci-archive:FILE",
    });
  }
  const options = { replace, progress, ...(signal && { signal }) };
  if (rewriting.opensSlowly) {
    const opened = await destination.open(options);
    return { destination: opened, source: await orClose(opened, rewriting.open()) };
  }
  const source = await rewriting.open();
  return { source, destination: await orClose(source, destination.open({ ...options, source })) };
}

async function orClose<T>(first: { close(): Promise<void> }, second: Promise<T>): Promise<T> {
  try {
    return await second;
  } catch (error) {
    await first.close();
    throw error;
  }
}

async function carryOut(
  { source, destination }: Site,
  { tree, changes }: Plan,
  { progress, threads, signal }: Running,
): Promise<Omit<RewriteResult, "hadReferrers">> {
  const pool = new LayerPool(threads);
  const stop = () => void pool.close();
  signal?.addEventListener("abort", stop);
  try {
    checkRunning(signal);
    const workshop = new Workshop({ source, destination, pool, progress, names: layerNames(tree) });
    const kept = keptBlobs(tree, changes);
    progress.begin({ kind: "layers", bytes: totalBytes([...changes.map((it) => it.descriptor), ...kept]) });
    const working = changes.map((change) => change.work(workshop));
    const [made, layers, transfers] = await Promise.all([
      Promise.all(working),
      reportInOrder(changes, working, progress),
      Promise.all(kept.map((blob) => workshop.copy(blob))),
    ]);
    const descriptors = made.map(({ descriptor }) => descriptor);
    const rebuilder = new Rebuilder(source, destination, (node) => edited(node, changes, descriptors));
    const { root, bytes } = await rebuilder.rebuild(tree);
    checkRunning(signal);
    await destination.commit(root, bytes);
    const blobs = kept.map(({ digest, size }, i) => ({ digest, size, transfer: transfers[i] ?? "none" }));
    return { ...resultOf(root, tree, changes.length), layers, blobs };
  } finally {
    signal?.removeEventListener("abort", stop);
    await pool.close();
  }
}

/** @throws DecoderError when the work was stopped, whichever error that caused */
function checkRunning(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new DecoderError("INTERRUPTED", "interrupted; the destination is as it was");
}

async function reportInOrder(
  changes: readonly LayerChange[],
  working: readonly Promise<MadeLayer>[],
  progress: Progress,
): Promise<LayerReport[]> {
  const reports: LayerReport[] = [];
  for (const [i, change] of changes.entries()) {
    const made = await working[i];
    if (made === undefined) throw new Error("bug: a change without its layer");
    const layer = await report(change, made);
    progress.finish(layer);
    reports.push(layer);
  }
  return reports;
}

async function report(change: LayerChange, { descriptor, transfer }: MadeLayer): Promise<LayerReport> {
  const { node, position, action, descriptor: old } = change;
  const { digest, size, mediaType, annotations = {} } = descriptor;
  const platform = nameOf(node);
  const what = { platform, position, action, from: old.digest, digest, size, mediaType, transfer };
  if (action === "decrypted") return what;
  return { ...what, recipients: await compareRecipients(old.annotations ?? {}, annotations) };
}

/** The layers' names in messages, by digest. A layer that several manifests share has the name of its first place. */
function layerNames(tree: ImageTree): Map<string, string> {
  const names = new Map<string, string>();
  for (const node of manifestsOf(tree)) {
    for (const [position, { digest }] of node.document.value.layers.entries()) {
      if (!names.has(digest)) names.set(digest, `layer ${position}`);
    }
  }
  return names;
}

/** Every blob of the tree that no change replaces. */
function keptBlobs(tree: ImageTree, changes: readonly LayerChange[]): Descriptor[] {
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
  return toOci({
    ...old,
    layers: old.layers.map((layer, position) => replacements.get(position) ?? layer),
  });
}

/** Docker's media types have no encrypted form, so the manifest gets OCI's. */
function toOci(manifest: Manifest): Manifest {
  const { mediaType, config } = manifest;
  return {
    ...manifest,
    ...(mediaType === DOCKER_MANIFEST && { mediaType: OCI_MANIFEST }),
    config: config.mediaType === DOCKER_CONFIG ? { ...config, mediaType: OCI_CONFIG } : config,
    layers: manifest.layers.map(toOciLayer),
  };
}

function toOciLayer(layer: Descriptor): Descriptor {
  const type = parseLayerType(layer.mediaType);
  if (type === undefined || type.encrypted || type.oci === layer.mediaType) return layer;
  return { ...layer, mediaType: type.oci };
}

function resultOf(
  root: IndexEntry,
  tree: ImageTree,
  changedLayers: number,
): Pick<RewriteResult, "digest" | "mediaType" | "keptLayers" | "attachments" | "absent"> {
  const manifests = [...manifestsOf(tree)];
  const images = manifests.filter((node) => node.role === "image");
  const all = images.reduce((sum, node) => sum + node.document.value.layers.length, 0);
  return {
    digest: root.digest,
    mediaType: root.mediaType,
    keptLayers: all - changedLayers,
    attachments: manifests.length - images.length,
    absent: absentIn(tree),
  };
}
