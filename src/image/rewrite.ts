import { DecoderError } from "../errors.ts";
import type { IndexEntry } from "../spec/manifest.ts";
import type { ImageDestination } from "../transport/destination.ts";
import type { ImageSource } from "../transport/source.ts";
import type { DestinationReference } from "../transport/transport.ts";
import { blobSizes, keptBlobs, layerNames } from "./kept-blobs.ts";
import { edited, type LayerChange, reportInOrder } from "./layer-change.ts";
import { LayerPool } from "./layer-pool.ts";
import type { BlobTransfer, LayerReport, Running } from "./progress.ts";
import { Rebuilder } from "./rebuild.ts";
import { type AbsentInfo, absentIn, type ImageTree, manifestsOf } from "./tree.ts";
import { readTree } from "./tree-reader.ts";
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
  open(running: Running): Promise<ImageSource>;
  /** Decides what is done to which layer. All keys are found here, before the first layer is read. */
  plan(tree: ImageTree, source: ImageSource): Promise<readonly LayerChange[]>;
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
    if (!(error instanceof DecoderError && error.code === "UNCERTAIN")) checkRunning(signal);
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
  /** Aborts what is being read and written. */
  readonly giveUp: () => void;
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
  running: Running,
): Promise<Site> {
  if (rewriting.encrypts && !destination.holdsEncrypted) {
    throw new DecoderError("USAGE", `${destination.text} can't hold an image with encrypted layers`, {
      hint: "write it as oci-archive:FILE",
    });
  }
  const stop = new AbortController();
  const signal = running.signal === undefined ? stop.signal : AbortSignal.any([running.signal, stop.signal]);
  const giveUp = () => stop.abort();
  const options = { replace, progress: running.progress, signal };
  const openSource = async () => await rewriting.open({ ...running, signal });
  if (rewriting.opensSlowly) {
    const opened = await destination.open(options);
    return { destination: opened, source: await orClose(opened, openSource()), giveUp };
  }
  const source = await openSource();
  return { source, destination: await orClose(source, destination.open({ ...options, source })), giveUp };
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
  { source, destination, giveUp }: Site,
  { tree, changes }: Plan,
  { progress, threads, signal }: Running,
): Promise<Omit<RewriteResult, "hadReferrers">> {
  const kept = keptBlobs(tree, changes);
  const sizes = blobSizes([...changes.map((it) => it.descriptor), ...kept]);
  const pool = LayerPool.forBlobs(sizes, threads);
  const workshop = new Workshop({ source, destination, pool, progress, names: layerNames(tree) });
  const stop = () => void pool.close();
  signal?.addEventListener("abort", stop);
  try {
    checkRunning(signal);
    progress.begin({ kind: "layers", bytes: sizes.reduce((sum, size) => sum + size, 0) });
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
  } catch (error) {
    // Another job may wait for a registry that has stopped answering.
    giveUp();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    await workshop.close();
  }
}

/** @throws DecoderError when the work was stopped, whichever error that caused */
function checkRunning(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new DecoderError("INTERRUPTED", "interrupted; the destination is as it was");
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
