import type { Descriptor } from "../spec/descriptor.ts";
import type { LayerChange } from "./layer-change.ts";
import { type ImageTree, type ManifestNode, manifestsOf, type Node } from "./tree.ts";

/** The layers' names in messages, by digest. A layer that several manifests share has the name of its first place. */
export function layerNames(tree: ImageTree): Map<string, string> {
  const names = new Map<string, string>();
  for (const node of manifestsOf(tree)) {
    for (const [position, { digest }] of node.document.value.layers.entries()) {
      if (!names.has(digest)) names.set(digest, `layer ${position}`);
    }
  }
  return names;
}

/** Every blob of the tree that no change replaces. */
export function keptBlobs(tree: ImageTree, changes: readonly LayerChange[]): Descriptor[] {
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

/** Sizes of these blobs, each counted once. In bytes. */
export function blobSizes(blobs: readonly Descriptor[]): number[] {
  return [...new Map(blobs.map(({ digest, size }) => [digest, size])).values()];
}
