import { LAYER_CIPHER, parsePublicOptions } from "../cipher/options.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import { describeLayer, type PacketInfo } from "../keywrap/describe.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { LIMITS } from "../limits.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { digestOf } from "../spec/digester.ts";
import { type IndexEntry, type Platform, REFERENCE_TYPE } from "../spec/manifest.ts";
import { OCI_INDEX, OCI_MANIFEST, parseLayerType } from "../spec/media-types.ts";
import { readBlob } from "../transport/blob.ts";
import { parseIndex, parseManifest, parseObject } from "../transport/documents.ts";
import type { Place } from "../transport/reference.ts";
import { type ImageSource, openArchive, openFile, openSource } from "../transport/source.ts";
import { Openers, type OpensInfo } from "./openers.ts";
import { chooseManifests } from "./select.ts";
import { formatPlatform, type ManifestNode, type Node, readTree } from "./tree.ts";

export interface InspectOptions {
  readonly source: Place;
  /** Empty: all. */
  readonly platforms: readonly string[];
  /** To tell which of them opens which layer. */
  readonly keys?: KeySet;
  readonly settings: SchemeSettings;
  readonly signal?: AbortSignal;
}

export interface ImageInfo {
  readonly digest: string;
  readonly mediaType: string;
  readonly platforms: readonly PlatformInfo[];
  /** What is about the images and not run: attestations, signatures. And entries whose manifests are not at hand. */
  readonly others: readonly OtherInfo[];
}

export interface PlatformInfo {
  readonly platform: string;
  readonly digest: string;
  readonly layers: readonly LayerInfo[];
}

export interface OtherInfo {
  readonly digest: string;
  readonly mediaType: string;
  readonly platform?: string;
  readonly kind?: string;
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
  /** Undefined when the public options can't be read: `problem` says why. */
  readonly cipher?: string;
  readonly problem?: string;
  readonly packets: readonly PacketInfo[];
  /** Which keys open it, when keys were given: null when none does. */
  readonly opens?: readonly OpensInfo[] | null;
}

/** `{`: a manifest rather than an archive comes through the pipe. */
const OPENING_BRACE = 0x7b;
const STDIN_NAME = "the manifest on standard input";

/**
 * What an image is made of, and for whom its layers are encrypted. Standard input may also be one manifest or index.
 * @throws DecoderError NOT_FOUND, BAD_IMAGE, LIMIT, IO
 */
export async function inspectImage(options: InspectOptions): Promise<ImageInfo> {
  const { source: place, platforms } = options;
  const opened = await open(place, options.signal);
  if ("document" in opened) return await describe(parseDocument(opened.document), platforms, options);
  try {
    return await describe(await readTree(opened), platforms, options);
  } finally {
    await opened.close();
  }
}

/** The same for an image that is open already, which stays so. @throws as inspectImage */
export async function inspectSource(
  source: ImageSource,
  options: Omit<InspectOptions, "source">,
): Promise<ImageInfo> {
  return await describe(await readTree(source), options.platforms, options);
}

async function open(
  place: Place,
  signal: AbortSignal | undefined,
): Promise<ImageSource | { readonly document: Uint8Array }> {
  if (place.path !== "-") return await openSource(place, signal);
  const opened = await openFile(place.path, signal);
  const { file } = opened;
  const chunks: Uint8Array[] = [];
  for await (const chunk of readBlob({ ...file, size: Math.min(file.size, LIMITS.manifestBytes + 1) }))
    chunks.push(chunk);
  const head = Buffer.concat(chunks);
  if (head[0] !== OPENING_BRACE) return await openArchive(place, opened, signal);
  await opened.close();
  if (head.length <= LIMITS.manifestBytes) return { document: head };
  throw new DecoderError("LIMIT", `${STDIN_NAME} has more than ${LIMITS.manifestBytes} bytes`);
}

/** A manifest or index without the blobs around it. */
function parseDocument(bytes: Uint8Array): Node {
  const { value } = parseObject(bytes, STDIN_NAME);
  const isIndex = value["layers"] === undefined && value["manifests"] !== undefined;
  const says = value["mediaType"];
  const mediaType = typeof says === "string" ? says : isIndex ? OCI_INDEX : OCI_MANIFEST;
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  if (!isIndex) {
    const document = parseManifest(bytes, STDIN_NAME);
    return { kind: "manifest", descriptor, bytes, document, role: "image", platform: undefined };
  }
  const document = parseIndex(bytes, STDIN_NAME);
  const children = document.value.manifests.map((entry): Node => ({ kind: "other", descriptor: entry }));
  return { kind: "index", descriptor, bytes, document, children };
}

async function describe(
  tree: Node,
  platforms: readonly string[],
  { keys, settings }: Pick<InspectOptions, "keys" | "settings">,
): Promise<ImageInfo> {
  const { digest, mediaType } = tree.descriptor;
  const openers = keys && new Openers(keys, settings);
  const described: PlatformInfo[] = [];
  for (const node of chooseManifests(tree, platforms)) described.push(await describeManifest(node, openers));
  return { digest, mediaType, platforms: described, others: [...others(tree)] };
}

async function describeManifest(node: ManifestNode, openers: Openers | undefined): Promise<PlatformInfo> {
  const layers: LayerInfo[] = [];
  for (const [position, descriptor] of node.document.value.layers.entries()) {
    const { digest, size, mediaType } = descriptor;
    const encryption = parseLayerType(mediaType)?.encrypted
      ? { encryption: await describeEncryption(descriptor, openers) }
      : {};
    layers.push({ position, digest, size, mediaType, ...encryption });
  }
  const platform = node.platform === undefined ? "unknown" : formatPlatform(node.platform);
  return { platform, digest: node.descriptor.digest, layers };
}

async function describeEncryption(
  descriptor: Descriptor,
  openers: Openers | undefined,
): Promise<EncryptionInfo> {
  const annotations = descriptor.annotations ?? {};
  const info = { ...cipherOf(annotations), packets: await describeLayer(annotations) };
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
  if (node.kind === "index") for (const child of node.children) yield* others(child);
  if (node.kind === "manifest" && node.role === "attachment") {
    const { artifactType } = node.document.value;
    yield { ...otherInfo(node.descriptor), ...(artifactType !== undefined && { kind: artifactType }) };
  }
}

function otherInfo(descriptor: IndexEntry): OtherInfo {
  const { digest, mediaType, platform, annotations } = descriptor;
  const kind = annotations?.[REFERENCE_TYPE];
  return { digest, mediaType, ...platformInfo(platform), ...(kind !== undefined && { kind }) };
}

function platformInfo(platform: Platform | undefined): { platform?: string } {
  return platform === undefined ? {} : { platform: formatPlatform(platform) };
}
