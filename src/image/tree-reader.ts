import { mostValues } from "../encoding/json-values.ts";
import { DecoderError } from "../errors.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { Index, IndexEntry, Manifest, Platform } from "../spec/manifest.ts";
import {
  DOCKER_CONFIG,
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../spec/media-types.ts";
import * as LIMITS from "../system-limits.ts";
import { isMissing, readSmall } from "../transport/blob.ts";
import { parseIndex, parseManifest, parseObject } from "../transport/documents.ts";
import type { ImageSource } from "../transport/source.ts";
import { attachmentKind, type ImageTree, type IndexNode, type ManifestNode, type Node } from "./tree.ts";

const INDEX_TYPES: ReadonlySet<string> = new Set([OCI_INDEX, DOCKER_MANIFEST_LIST]);
const MANIFEST_TYPES: ReadonlySet<string> = new Set([OCI_MANIFEST, DOCKER_MANIFEST]);
const CONFIG_TYPES: ReadonlySet<string> = new Set([OCI_CONFIG, DOCKER_CONFIG]);

interface TreeOptions {
  /** Whether a configuration is read to find a platform that the index does not name. */
  readonly readsConfigurations: boolean;
}

/** @throws DecoderError BAD_IMAGE, LIMIT, NOT_FOUND, SIZE_MISMATCH, DIGEST_MISMATCH, IO */
export async function readTree(
  source: ImageSource,
  options: TreeOptions = { readsConfigurations: true },
): Promise<ImageTree> {
  return await new TreeReader(source, options).readRoot();
}

class TreeReader {
  readonly #source: ImageSource;
  readonly #options: TreeOptions;
  #documents = 0;
  #bytes = 0;
  #values = 0;

  constructor(source: ImageSource, options: TreeOptions) {
    this.#source = source;
    this.#options = options;
  }

  async readRoot(): Promise<ImageTree> {
    const { root } = this.#source;
    const node = await this.#read(root, 0);
    if (node !== undefined) return node;
    throw new DecoderError(
      "BAD_IMAGE",
      `${root.digest} is not an image: its type is ${JSON.stringify(root.mediaType)}`,
    );
  }

  /** Undefined for a type that is not a manifest's. */
  async #read(descriptor: IndexEntry, depth: number): Promise<ImageTree | undefined> {
    if (INDEX_TYPES.has(descriptor.mediaType)) return await this.#index(descriptor, depth);
    if (MANIFEST_TYPES.has(descriptor.mediaType)) return await this.#manifest(descriptor);
    return undefined;
  }

  async #child(descriptor: IndexEntry, depth: number): Promise<Node> {
    try {
      const node = (await this.#read(descriptor, depth)) ?? { kind: "other", descriptor };
      return node.kind === "manifest" && (await this.#isEmpty(node)) ? { kind: "absent", descriptor } : node;
    } catch (error) {
      if (isMissing(error)) return { kind: "absent", descriptor };
      throw error;
    }
  }

  /** Whether the source has a manifest, but nothing that it names. */
  async #isEmpty({ document, role }: ManifestNode): Promise<boolean> {
    if (role !== "image" || this.#source.isRemote === true) return false;
    const { config, layers } = document.value;
    for (const blob of [config, ...layers]) {
      const isThere = await this.#source.locate(blob).then(
        () => true,
        (error) => {
          if (isMissing(error)) return false;
          throw error;
        },
      );
      if (isThere) return false;
    }
    return true;
  }

  async #index(descriptor: IndexEntry, depth: number): Promise<IndexNode> {
    if (depth >= LIMITS.indexDepth) {
      throw new DecoderError("LIMIT", `indexes are nested more than ${LIMITS.indexDepth} deep`);
    }
    const bytes = await this.#document(descriptor);
    const document = parseIndex(bytes, `index ${descriptor.digest}`);
    checkKind(document.value, descriptor, "layers");
    const children: Node[] = [];
    for (const entry of document.value.manifests) children.push(await this.#child(entry, depth + 1));
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
    // An index may name one manifest many times: the bound is on the work, not on the documents.
    this.#documents += 1;
    if (this.#documents > LIMITS.imageDocuments) {
      throw new DecoderError("LIMIT", `the image has more than ${LIMITS.imageDocuments} manifests`);
    }
    const bytes = await this.#source.readManifest(descriptor);
    this.#bytes += bytes.length;
    if (this.#bytes > LIMITS.imageDocumentsBytes) {
      throw new DecoderError(
        "LIMIT",
        `the image's manifests have more than ${LIMITS.imageDocumentsBytes} bytes in all`,
      );
    }
    this.#values += mostValues(bytes);
    if (this.#values > LIMITS.imageDocumentsValues) {
      throw new DecoderError(
        "LIMIT",
        `the image's manifests have more than ${LIMITS.imageDocumentsValues} values in all`,
      );
    }
    return bytes;
  }

  async #platformOf(config: Descriptor): Promise<Platform | undefined> {
    if (!this.#options.readsConfigurations || !CONFIG_TYPES.has(config.mediaType)) return undefined;
    const bytes = await readSmall(this.#source, config, LIMITS.imageConfigBytes).catch((error) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    if (bytes === undefined) return undefined;
    const { os, architecture, variant } = parseObject(bytes, `configuration ${config.digest}`).value;
    if (typeof os !== "string" || typeof architecture !== "string") return undefined;
    return { os, architecture, ...(typeof variant === "string" && { variant }) };
  }
}

/**
 * A document that passes as a manifest and as an index means different images to different tools: it is refused
 * (CVE-2021-41190).
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
    `${descriptor.digest} is ambiguous: its descriptor says ${descriptor.mediaType}, its content says otherwise`,
  );
}

/**
 * BuildKit marks attestations in the index; other tools attach artifacts to images by `subject`. A marked entry for a real
 * platform is an image all the same: containerd and others pull it there.
 */
function roleOf(descriptor: IndexEntry, manifest: Manifest): ManifestNode["role"] {
  const isMarked = attachmentKind(descriptor) !== undefined;
  const isReferrer = manifest.subject !== undefined && !CONFIG_TYPES.has(manifest.config.mediaType);
  return isMarked || isReferrer ? "attachment" : "image";
}
