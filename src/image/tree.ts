import { DecoderError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import {
  type Index,
  type IndexEntry,
  type Manifest,
  type Platform,
  REFERENCE_TYPE,
} from "../spec/manifest.ts";
import {
  DOCKER_CONFIG,
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../spec/media-types.ts";
import { readSmall } from "../transport/blob.ts";
import { type Document, parseIndex, parseManifest, parseObject } from "../transport/documents.ts";
import type { ImageSource } from "../transport/source.ts";

/** An image's manifests, read and checked; layers and configurations are blobs still to be read. */
export type Node = IndexNode | ManifestNode | OtherNode;

interface NodeBase {
  /** As what refers to it has it: with its platform and annotations. */
  readonly descriptor: IndexEntry;
}

export interface IndexNode extends NodeBase {
  readonly kind: "index";
  readonly bytes: Uint8Array;
  readonly document: Document<Index>;
  readonly children: readonly Node[];
}

export interface ManifestNode extends NodeBase {
  readonly kind: "manifest";
  readonly bytes: Uint8Array;
  readonly document: Document<Manifest>;
  /** What is run, or something about it: an attestation, a signature. */
  readonly role: "image" | "attachment";
  /** Undefined when neither the index nor the configuration tells. */
  readonly platform: Platform | undefined;
}

/** Something of a type that isn't known here, kept as it is. */
export interface OtherNode extends NodeBase {
  readonly kind: "other";
}

const INDEX_TYPES: ReadonlySet<string> = new Set([OCI_INDEX, DOCKER_MANIFEST_LIST]);
const MANIFEST_TYPES: ReadonlySet<string> = new Set([OCI_MANIFEST, DOCKER_MANIFEST]);
const CONFIG_TYPES: ReadonlySet<string> = new Set([OCI_CONFIG, DOCKER_CONFIG]);

/** @throws DecoderError BAD_IMAGE, LIMIT, NOT_FOUND, SIZE_MISMATCH, DIGEST_MISMATCH, IO */
export async function readTree(source: ImageSource): Promise<Node> {
  return await new TreeReader(source).read(source.root, 0);
}

/** The manifests below a node, in order. */
export function* manifestsOf(node: Node): Generator<ManifestNode> {
  if (node.kind === "manifest") yield node;
  if (node.kind !== "index") return;
  for (const child of node.children) yield* manifestsOf(child);
}

/** A manifest in messages: its platform, or else its digest. */
export function nameOf({ platform, descriptor }: ManifestNode): string {
  return platform === undefined ? descriptor.digest : formatPlatform(platform);
}

/** "linux/arm64/v8" */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part).join("/");
}

class TreeReader {
  readonly #source: ImageSource;
  #documents = 0;
  #bytes = 0;

  constructor(source: ImageSource) {
    this.#source = source;
  }

  async read(descriptor: IndexEntry, depth: number): Promise<Node> {
    if (INDEX_TYPES.has(descriptor.mediaType)) return await this.#index(descriptor, depth);
    if (MANIFEST_TYPES.has(descriptor.mediaType)) return await this.#manifest(descriptor);
    if (depth > 0) return { kind: "other", descriptor };
    throw new DecoderError(
      "BAD_IMAGE",
      `${descriptor.digest} is no image: its type is ${JSON.stringify(descriptor.mediaType)}`,
    );
  }

  async #index(descriptor: IndexEntry, depth: number): Promise<IndexNode> {
    if (depth >= LIMITS.indexDepth) {
      throw new DecoderError("LIMIT", `indexes are nested more than ${LIMITS.indexDepth} deep`);
    }
    const bytes = await this.#document(descriptor);
    const document = parseIndex(bytes, `index ${descriptor.digest}`);
    checkKind(document.value, descriptor, "layers");
    const children: Node[] = [];
    for (const entry of document.value.manifests) children.push(await this.read(entry, depth + 1));
    return { kind: "index", descriptor, bytes, document, children };
  }

  async #manifest(descriptor: IndexEntry): Promise<ManifestNode> {
    const bytes = await this.#document(descriptor);
    const document = parseManifest(bytes, `manifest ${descriptor.digest}`);
    checkKind(document.value, descriptor, "manifests");
    const role = roleOf(descriptor, document.value);
    const platform = descriptor.platform ?? (await this.#platformOf(document.value.config));
    return { kind: "manifest", descriptor, bytes, document, role, platform };
  }

  async #document(descriptor: Descriptor): Promise<Uint8Array> {
    // An index may name the same manifest over and over: what is bounded is the work, not what lies there.
    this.#documents += 1;
    if (this.#documents > LIMITS.imageDocuments) {
      throw new DecoderError("LIMIT", `the image has more than ${LIMITS.imageDocuments} manifests`);
    }
    const bytes = await readSmall(this.#source.blobs, descriptor, LIMITS.manifestBytes);
    this.#bytes += bytes.length;
    if (this.#bytes > LIMITS.imageDocumentsBytes) {
      throw new DecoderError(
        "LIMIT",
        `the image's manifests have more than ${LIMITS.imageDocumentsBytes} bytes together`,
      );
    }
    return bytes;
  }

  async #platformOf(config: Descriptor): Promise<Platform | undefined> {
    if (!CONFIG_TYPES.has(config.mediaType)) return undefined;
    const bytes = await readSmall(this.#source.blobs, config, LIMITS.imageConfigBytes);
    const { os, architecture, variant } = parseObject(bytes, `configuration ${config.digest}`).value;
    if (typeof os !== "string" || typeof architecture !== "string") return undefined;
    return { os, architecture, ...(typeof variant === "string" && { variant }) };
  }
}

/**
 * A document that can be read as either kind, by tools that look at other fields, means another image to each
 * (OCI image spec, CVE-2021-41190).
 */
function checkKind(
  document: Manifest | Index,
  descriptor: Descriptor,
  foreign: "layers" | "manifests",
): void {
  const says = document.mediaType ?? descriptor.mediaType;
  if (says === descriptor.mediaType && document[foreign] === undefined) return;
  throw new DecoderError(
    "BAD_IMAGE",
    `${descriptor.digest} is ambiguous: it is referred to as ${descriptor.mediaType} and looks like something else too`,
  );
}

/** BuildKit marks its attestations in the index; other tools attach artifacts to images by their `subject`. */
function roleOf(descriptor: Descriptor, manifest: Manifest): ManifestNode["role"] {
  const isMarked = descriptor.annotations?.[REFERENCE_TYPE] !== undefined;
  const isReferrer = manifest.subject !== undefined && !CONFIG_TYPES.has(manifest.config.mediaType);
  return isMarked || isReferrer ? "attachment" : "image";
}
