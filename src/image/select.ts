import { DecoderError } from "../errors.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { Platform } from "../spec/manifest.ts";
import { parseLayerType } from "../spec/media-types.ts";
import {
  type AbsentInfo,
  absentIn,
  formatPlatform,
  type ManifestNode,
  manifestsOf,
  type Node,
  nameOf,
} from "./tree.ts";

/** Chooses layers of an image. All other layers are kept as they are. */
export interface Selection {
  /** "linux/arm64/v8"; empty: all platforms. */
  readonly platforms: readonly string[];
  /** Positions in each platform's manifest, counted from the end if negative; empty: all layers. */
  readonly layers: readonly number[];
  /** Number of first layers that are left out. */
  readonly exceptBase: number;
}

export const EVERYTHING: Selection = { platforms: [], layers: [], exceptBase: 0 };

/** A layer and its place. */
export interface ChosenLayer {
  readonly node: ManifestNode;
  readonly position: number;
  readonly descriptor: Descriptor;
}

/**
 * The chosen layers of the images in the tree. Attestations and signatures are never chosen.
 * @param bases number of first layers of an image that are left out, instead of `exceptBase`
 * @throws DecoderError NOT_FOUND for a platform or a position that does not exist
 */
export function chooseLayers(
  tree: Node,
  selection: Selection,
  bases: ReadonlyMap<ManifestNode, number> = new Map(),
): ChosenLayer[] {
  return chooseManifests(tree, selection.platforms).flatMap((node) => {
    const { layers } = node.document.value;
    const exceptBase = bases.get(node) ?? selection.exceptBase;
    return [...positions(node, { ...selection, exceptBase })]
      .sort((a, b) => a - b)
      .flatMap((position) => {
        const descriptor = layers[position];
        return descriptor === undefined ? [] : [{ node, position, descriptor }];
      });
  });
}

/** The chosen layers that are encrypted. @throws DecoderError NOT_FOUND when none is */
export function chooseEncryptedLayers(tree: Node, selection: Selection): ChosenLayer[] {
  const layers = chooseLayers(tree, selection);
  const encrypted = layers.filter(({ descriptor }) => parseLayerType(descriptor.mediaType)?.encrypted);
  if (encrypted.length > 0) return encrypted;
  throw new DecoderError(
    "NOT_FOUND",
    layers.length === 0 ? "the image has no such layers" : "none of the chosen layers is encrypted",
    { hint: "ctd-decoder inspect IMAGE shows which layers are encrypted; ctd-decoder encrypt encrypts them" },
  );
}

/** The images for one of the platforms; all images if no platform is given. @throws DecoderError NOT_FOUND */
export function chooseManifests(tree: Node, platforms: readonly string[]): ManifestNode[] {
  const images = [...manifestsOf(tree)].filter((node) => node.role === "image");
  if (platforms.length === 0) return images;
  const chosen = new Set<ManifestNode>();
  for (const wanted of platforms) {
    const matching = images.filter(({ platform }) => matches(platform, wanted));
    if (matching.length === 0) throw noPlatform(wanted, images, absentIn(tree));
    for (const node of matching) chosen.add(node);
  }
  return images.filter((node) => chosen.has(node));
}

function positions(node: ManifestNode, { layers, exceptBase }: Selection): Set<number> {
  const count = node.document.value.layers.length;
  const all = Array.from({ length: count }, (_, position) => position);
  if (layers.length === 0) return new Set(all.slice(exceptBase));
  return new Set(
    layers.map((layer) => {
      const position = layer < 0 ? count + layer : layer;
      if (position in all) return position;
      throw new DecoderError(
        "NOT_FOUND",
        `layer ${layer} does not exist: ${nameOf(node)} has ${count} in all`,
        {
          hint: "layers count from 0, or from -1 backwards",
        },
      );
    }),
  );
}

/** Whether an entry that the source lacks may be an image for one of the platforms. */
export function mayBeChosen({ platform, kind }: AbsentInfo, platforms: readonly string[]): boolean {
  if (kind !== undefined) return false;
  if (platform === undefined || platforms.length === 0) return true;
  const [os = "", architecture = "", variant] = platform.split("/");
  const described = { os, architecture, ...(variant !== undefined && { variant }) };
  return platforms.some((wanted) => matches(described, wanted));
}

/** Compares os/architecture[/variant]. A variant that is not given matches any. arm64's only variant, v8, is often omitted. */
function matches(platform: Platform | undefined, wanted: string): boolean {
  if (platform === undefined) return false;
  const [os, architecture, variant] = wanted.toLowerCase().split("/");
  if (os !== platform.os || architecture !== platform.architecture) return false;
  return (
    variant === undefined || variant === (platform.variant ?? (architecture === "arm64" ? "v8" : undefined))
  );
}

function noPlatform(
  wanted: string,
  images: readonly ManifestNode[],
  absent: readonly AbsentInfo[],
): DecoderError {
  if (absent.some(({ platform }) => platform?.startsWith(wanted.toLowerCase()))) {
    return new DecoderError("NOT_FOUND", `the source lacks the image for ${wanted}, which its index names`, {
      hint: "it was exported without that platform: export or fetch all platforms",
    });
  }
  const names = images.map(({ platform }) => (platform === undefined ? "unknown" : formatPlatform(platform)));
  return new DecoderError("NOT_FOUND", `the image is not for ${wanted}`, {
    hint:
      names.length === 0
        ? "it has no runnable image at all"
        : `it is for ${[...new Set(names)].slice(0, 20).join(", ")}`,
  });
}
