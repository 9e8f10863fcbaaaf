import type { Descriptor } from "../spec/descriptor.ts";
import type { Manifest } from "../spec/manifest.ts";
import {
  DOCKER_CONFIG,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_MANIFEST,
  parseLayerType,
} from "../spec/media-types.ts";
import type { BlobTransfer, LayerReport, Progress } from "./progress.ts";
import { compareRecipients } from "./recipients.ts";
import type { ChosenLayer } from "./select.ts";
import { type ManifestNode, nameOf } from "./tree.ts";
import type { Workshop } from "./workshop.ts";

/** The change to one layer. */
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

/** Reports the changes to the progress in their order, each as soon as it and those before it are done. */
export async function reportInOrder(
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

/** A manifest with the new layers of the changes that concern it. @param made the new layers, in the order of the changes */
export function edited(
  node: ManifestNode,
  changes: readonly LayerChange[],
  made: readonly Descriptor[],
): Manifest {
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
