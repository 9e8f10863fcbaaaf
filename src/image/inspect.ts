import { LAYER_CIPHER, parsePublicOptions } from "../cipher/options.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import { describeLayer, type PacketInfo } from "../keywrap/describe.ts";
import type { KnownRecipients } from "../keywrap/known-recipients.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { IndexEntry, Platform } from "../spec/manifest.ts";
import { parseLayerType } from "../spec/media-types.ts";
import type { ImageSource } from "../transport/source.ts";
import type { SourceReference } from "../transport/transport.ts";
import { Openers, type OpensInfo } from "./openers.ts";
import { type ChosenLayer, chooseLayers, chooseManifests, EVERYTHING, type Selection } from "./select.ts";
import { attachmentKind, formatPlatform, type ManifestNode, type Node } from "./tree.ts";
import { readTree } from "./tree-reader.ts";

interface InspectOptions {
  readonly source: SourceReference;
  /** "linux/arm64/v8"; empty: all platforms. */
  readonly platforms: readonly string[];
  /** Layers of each platform; undefined: all. */
  readonly chosen?: Pick<Selection, "layers" | "exceptBase">;
  /** Private keys, to report which of them opens which layer. */
  readonly keys?: KeySet;
  /** Public keys, to report which recipients they are. */
  readonly known?: KnownRecipients;
  readonly settings: SchemeSettings;
  readonly signal?: AbortSignal;
}

export interface ImageInfo {
  readonly digest: string;
  readonly mediaType: string;
  readonly platforms: readonly PlatformInfo[];
  /** Entries that are not run: attestations, signatures, and what the source lacks. */
  readonly others: readonly OtherInfo[];
}

export interface PlatformInfo {
  readonly platform: string;
  readonly digest: string;
  readonly layers: readonly LayerInfo[];
}

interface OtherInfo {
  readonly digest: string;
  readonly mediaType: string;
  readonly platform?: string;
  readonly kind?: string;
  /** Whether the source lacks it. */
  readonly absent?: true;
}

export interface LayerInfo {
  readonly position: number;
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
  readonly mediaType: string;
  readonly encryption?: EncryptionInfo;
}

export interface EncryptionInfo {
  /** Undefined if the public options can't be read, for the reason in `problem`. */
  readonly cipher?: string;
  readonly problem?: string;
  readonly packets: readonly PacketInfo[];
  /** The given keys that open it; null if none does; undefined if none was given. */
  readonly opens?: readonly OpensInfo[] | null;
}

/**
 * Reports what an image is made of, and for whom its layers are encrypted.
 * @throws DecoderError NOT_FOUND, BAD_IMAGE, LIMIT, IO
 */
export async function inspectImage(options: InspectOptions): Promise<ImageInfo> {
  const source = await options.source.open(options);
  try {
    return await inspectSource(source, options);
  } finally {
    await source.close();
  }
}

/** Like `inspectImage`, for an open image, which stays open. @throws as inspectImage does */
export async function inspectSource(
  source: ImageSource,
  options: Omit<InspectOptions, "source">,
): Promise<ImageInfo> {
  return await describe(await readTree(source), options);
}

async function describe(
  tree: Node,
  { platforms, chosen, keys, known, settings }: Omit<InspectOptions, "source">,
): Promise<ImageInfo> {
  const { digest, mediaType } = tree.descriptor;
  const openers = keys && new Openers(keys, settings);
  const compared = { openers, known };
  const layers = Map.groupBy(chooseLayers(tree, { ...EVERYTHING, ...chosen, platforms }), ({ node }) => node);
  const described: PlatformInfo[] = [];
  for (const node of chooseManifests(tree, platforms))
    described.push(await describeManifest(node, layers.get(node) ?? [], compared));
  return { digest, mediaType, platforms: described, others: [...others(tree)] };
}

/** Keys that recipients are compared with. */
interface Compared {
  readonly openers: Openers | undefined;
  readonly known: KnownRecipients | undefined;
}

async function describeManifest(
  node: ManifestNode,
  chosen: readonly ChosenLayer[],
  compared: Compared,
): Promise<PlatformInfo> {
  const layers: LayerInfo[] = [];
  for (const { position, descriptor } of chosen) {
    const { digest, size, mediaType } = descriptor;
    const encryption = parseLayerType(mediaType)?.encrypted
      ? { encryption: await describeEncryption(descriptor, compared) }
      : {};
    layers.push({ position, digest, size, mediaType, ...encryption });
  }
  const platform = node.platform === undefined ? "unknown" : formatPlatform(node.platform);
  return { platform, digest: node.descriptor.digest, layers };
}

async function describeEncryption(
  descriptor: Descriptor,
  { openers, known }: Compared,
): Promise<EncryptionInfo> {
  const annotations = descriptor.annotations ?? {};
  const info = { ...cipherOf(annotations), packets: await describeLayer(annotations, known) };
  if (openers === undefined) return info;
  const opens = await openers.of(descriptor);
  return { ...info, opens: opens.length > 0 ? opens : null };
}

function cipherOf(annotations: Readonly<Record<string, string>>): Pick<EncryptionInfo, "cipher" | "problem"> {
  try {
    parsePublicOptions(annotations);
    return { cipher: LAYER_CIPHER };
  } catch (error) {
    if (error instanceof DecoderError) return { problem: error.message };
    throw error;
  }
}

function* others(node: Node): Generator<OtherInfo> {
  if (node.kind === "other") yield otherInfo(node.descriptor);
  if (node.kind === "absent") yield { ...otherInfo(node.descriptor), absent: true };
  if (node.kind === "index") for (const child of node.children) yield* others(child);
  if (node.kind === "manifest" && node.role === "attachment") {
    const { artifactType } = node.document.value;
    yield { ...otherInfo(node.descriptor), ...(artifactType !== undefined && { kind: artifactType }) };
  }
}

function otherInfo(descriptor: IndexEntry): OtherInfo {
  const { digest, mediaType, platform } = descriptor;
  const kind = attachmentKind(descriptor);
  return { digest, mediaType, ...platformInfo(platform), ...(kind !== undefined && { kind }) };
}

function platformInfo(platform: Platform | undefined): { platform?: string } {
  return platform === undefined ? {} : { platform: formatPlatform(platform) };
}
