import { encodeBase64 } from "../encoding/base64.ts";
import { writeJson } from "../encoding/json-document.ts";
import { writeDurably } from "../io/staging.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { digestOf } from "../spec/digester.ts";
import { type Index, type IndexEntry, type Manifest, REFERENCE_DIGEST } from "../spec/manifest.ts";
import { DOCKER_MANIFEST_LIST, OCI_INDEX } from "../spec/media-types.ts";
import type { ImageTarget } from "../transport/destination.ts";
import type { IndexNode, ManifestNode, Node } from "./tree.ts";

/** What becomes of a manifest: the same object when nothing does. */
export type EditManifest = (node: ManifestNode) => Manifest;

/**
 * Writes a tree of manifests with some of them changed. Indexes follow, and so does what refers to a changed manifest by
 * its digest; everything else keeps its bytes. Layers, configurations and other blobs are in the target already.
 */
export class Rebuilder {
  readonly #target: ImageTarget;
  readonly #edit: EditManifest;
  readonly #done = new Map<Node, Promise<IndexEntry>>();
  readonly #nodes = new Map<string, Node[]>();

  constructor(target: ImageTarget, edit: EditManifest) {
    this.#target = target;
    this.#edit = edit;
  }

  /** The descriptor of the new tree. */
  async rebuild(tree: Node): Promise<IndexEntry> {
    this.#remember(tree);
    return await this.#entry(tree);
  }

  #remember(node: Node): void {
    const { digest } = node.descriptor;
    this.#nodes.set(digest, [...(this.#nodes.get(digest) ?? []), node]);
    if (node.kind === "index") for (const child of node.children) this.#remember(child);
  }

  /** A node's new descriptor, and with it what BuildKit notes there of the manifest that an attestation is about. */
  async #entry(node: Node): Promise<IndexEntry> {
    const entry = await this.#content(node);
    const reference = entry.annotations?.[REFERENCE_DIGEST];
    const moved = reference === undefined ? undefined : await this.#moved(reference);
    if (moved === undefined) return entry;
    return { ...entry, annotations: { ...entry.annotations, [REFERENCE_DIGEST]: moved.digest } };
  }

  #content(node: Node): Promise<IndexEntry> {
    const known = this.#done.get(node);
    if (known !== undefined) return known;
    const content = this.#write(node);
    this.#done.set(node, content);
    return content;
  }

  async #write(node: Node): Promise<IndexEntry> {
    if (node.kind === "other") return node.descriptor;
    const old = node.document.value;
    const value = node.kind === "index" ? await this.#index(node) : await this.#manifest(node);
    const bytes = value === old ? node.bytes : writeJson(value, node.document.style);
    const written = { digest: digestOf(bytes), size: bytes.length };
    await this.#store(bytes, written.digest);
    if (value === old) return node.descriptor;
    const { data, ...descriptor } = node.descriptor;
    const mediaType = value.mediaType ?? node.descriptor.mediaType;
    // OCI image spec, descriptor "data": the content once more, embedded.
    return {
      ...descriptor,
      mediaType,
      ...written,
      ...(data !== undefined && { data: encodeBase64(bytes) }),
    } as IndexEntry;
  }

  async #index(node: IndexNode): Promise<Index> {
    const old = node.document.value;
    const manifests: IndexEntry[] = [];
    for (const child of node.children) manifests.push(await this.#entry(child));
    const subject = await this.#newSubject(old);
    const isSame =
      subject === old.subject && manifests.every((entry, position) => entry === old.manifests[position]);
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

  /** What took the place of a manifest of this image, if anything did. No circle can come: digests can't form one. */
  async #moved(digest: string): Promise<Descriptor | undefined> {
    for (const node of this.#nodes.get(digest) ?? []) {
      const content = await this.#content(node);
      if (content.digest !== digest) return content;
    }
    return undefined;
  }

  async #store(bytes: Uint8Array, digest: string): Promise<void> {
    if (await this.#target.has(digest, bytes.length)) return;
    const file = this.#target.newFile();
    await writeDurably(file, [bytes]);
    await this.#target.adopt(file, digest);
  }
}
