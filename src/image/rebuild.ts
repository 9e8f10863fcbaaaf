import { encodeBase64 } from "../encoding/base64.ts";
import { writeJson } from "../encoding/json-document.ts";
import { digestOf } from "../io/digester.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { type Index, type IndexEntry, type Manifest, REFERENCE_DIGEST } from "../spec/manifest.ts";
import { DOCKER_MANIFEST_LIST, OCI_INDEX } from "../spec/media-types.ts";
import type { ImageDestination } from "../transport/destination.ts";
import type { ImageSource } from "../transport/source.ts";
import type { ImageTree, IndexNode, ManifestNode, Node } from "./tree.ts";

/** Returns a manifest's new form, or the same object to keep its bytes. */
type EditManifest = (node: ManifestNode) => Manifest;

/** A tree's new root, which the destination's commit writes. */
interface Rebuilt {
  readonly root: IndexEntry;
  readonly bytes: Uint8Array;
}

/**
 * Writes a tree of manifests of which some are changed. Indexes follow, and so do references to a changed manifest's
 * digest; all other documents keep their bytes. Layers, configurations and other blobs are in the destination before.
 */
export class Rebuilder {
  readonly #source: ImageSource;
  readonly #destination: ImageDestination;
  readonly #edit: EditManifest;
  readonly #done = new Map<Node, Promise<Rebuilt>>();
  readonly #nodes = new Map<string, Node[]>();

  constructor(source: ImageSource, destination: ImageDestination, edit: EditManifest) {
    this.#source = source;
    this.#destination = destination;
    this.#edit = edit;
  }

  /** Writes all documents below the root. @throws DecoderError IO */
  async rebuild(tree: ImageTree): Promise<Rebuilt> {
    this.#remember(tree);
    const { root, bytes } = await this.#content(tree);
    return { root: await this.#withReference(root), bytes };
  }

  #remember(node: Node): void {
    const { digest } = node.descriptor;
    this.#nodes.set(digest, [...(this.#nodes.get(digest) ?? []), node]);
    if (node.kind === "index") for (const child of node.children) this.#remember(child);
  }

  /** A child's new entry in its index; undefined when the child is left out. */
  async #entry(node: Node): Promise<IndexEntry | undefined> {
    if (node.kind === "absent") return undefined;
    if (node.kind === "other") return await this.#withReference(node.descriptor);
    const { root, bytes } = await this.#content(node);
    await this.#put(root, bytes, root === node.descriptor);
    return await this.#withReference(root);
  }

  async #put(descriptor: Descriptor, bytes: Uint8Array, isUnchanged: boolean): Promise<void> {
    if (isUnchanged && (await this.#destination.take(descriptor, this.#source)) !== undefined) return;
    await this.#destination.putManifest(descriptor, bytes);
  }

  /** BuildKit notes on an attestation's entry which manifest it is about: that digest follows the manifest. */
  async #withReference(entry: IndexEntry): Promise<IndexEntry> {
    const reference = entry.annotations?.[REFERENCE_DIGEST];
    const moved = reference === undefined ? undefined : await this.#moved(reference);
    if (moved === undefined) return entry;
    return { ...entry, annotations: { ...entry.annotations, [REFERENCE_DIGEST]: moved.digest } };
  }

  #content(node: ImageTree): Promise<Rebuilt> {
    const known = this.#done.get(node);
    if (known !== undefined) return known;
    const content = this.#write(node);
    this.#done.set(node, content);
    return content;
  }

  async #write(node: ImageTree): Promise<Rebuilt> {
    const old = node.document.value;
    const value = node.kind === "index" ? await this.#index(node) : await this.#manifest(node);
    if (value === old) return { root: node.descriptor, bytes: node.bytes };
    const bytes = writeJson(value, node.document.style);
    const { data, ...descriptor } = node.descriptor;
    const root = {
      ...descriptor,
      mediaType: value.mediaType ?? descriptor.mediaType,
      digest: digestOf(bytes),
      size: bytes.length,
      // OCI image spec, descriptor "data": the content once more, embedded.
      ...(data !== undefined && { data: encodeBase64(bytes) }),
    } as IndexEntry;
    return { root, bytes };
  }

  async #index(node: IndexNode): Promise<Index> {
    const old = node.document.value;
    const manifests: IndexEntry[] = [];
    for (const child of node.children) {
      const entry = await this.#entry(child);
      if (entry !== undefined) manifests.push(entry);
    }
    const subject = await this.#newSubject(old);
    const isSame =
      subject === old.subject &&
      manifests.length === old.manifests.length &&
      manifests.every((entry, position) => entry === old.manifests[position]);
    if (isSame) return old;
    return {
      ...old,
      ...(old.mediaType === DOCKER_MANIFEST_LIST && { mediaType: OCI_INDEX }),
      manifests,
      ...(subject && { subject }),
    };
  }

  async #manifest(node: ManifestNode): Promise<Manifest> {
    const old = node.document.value;
    const edited = this.#edit(node);
    const subject = await this.#newSubject(old);
    return subject === old.subject ? edited : { ...edited, ...(subject && { subject }) };
  }

  async #newSubject({ subject }: Manifest | Index): Promise<Descriptor | undefined> {
    const moved = subject && (await this.#moved(subject.digest));
    if (subject === undefined || moved === undefined) return subject;
    const { data: _data, ...rest } = subject;
    return { ...rest, mediaType: moved.mediaType, digest: moved.digest, size: moved.size };
  }

  /** What replaced a manifest of this image, if anything did. Digests can't form a cycle, so this ends. */
  async #moved(digest: string): Promise<Descriptor | undefined> {
    for (const node of this.#nodes.get(digest) ?? []) {
      if (node.kind !== "index" && node.kind !== "manifest") continue;
      const { root } = await this.#content(node);
      if (root.digest !== digest) return root;
    }
    return undefined;
  }
}
