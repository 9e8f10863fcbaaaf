import {
  type Index,
  type IndexEntry,
  type Manifest,
  type Platform,
  REFERENCE_TYPE,
} from "../spec/manifest.ts";
import type { Document } from "../transport/documents.ts";

/** An image's manifests, read and checked. Layers and configurations are blobs that are not read yet. */
export type Node = ImageTree | OtherNode | AbsentNode;

/** What an image's root can be. */
export type ImageTree = IndexNode | ManifestNode;

interface NodeBase {
  /** The entry that names it, with its platform and annotations. */
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
  /** An image is run. An attachment, such as an attestation or a signature, is about one. */
  readonly role: "image" | "attachment";
  /** Undefined when neither the index nor the configuration names it. */
  readonly platform: Platform | undefined;
}

/** An entry of an unknown type, which is kept as it is. */
interface OtherNode extends NodeBase {
  readonly kind: "other";
}

/**
 * An entry that the source names but does not hold. `ctr images export` and `docker save` write the whole index, but the
 * blobs of the local platform only.
 */
interface AbsentNode extends NodeBase {
  readonly kind: "absent";
}

/** The manifests below a node, in order. */
export function* manifestsOf(node: Node): Generator<ManifestNode> {
  if (node.kind === "manifest") yield node;
  if (node.kind !== "index") return;
  for (const child of node.children) yield* manifestsOf(child);
}

/** An entry of an index whose blobs the source lacks. */
export interface AbsentInfo {
  readonly digest: string;
  readonly platform?: string;
  /** Of an attachment: "attestation-manifest". */
  readonly kind?: string;
}

/** The entries below a node that the source lacks. */
export function absentIn(node: Node): AbsentInfo[] {
  if (node.kind === "index") return node.children.flatMap(absentIn);
  if (node.kind !== "absent") return [];
  const { digest, platform } = node.descriptor;
  const kind = attachmentKind(node.descriptor);
  return [
    {
      digest,
      ...(platform && { platform: formatPlatform(platform) }),
      ...(kind !== undefined && { kind }),
    },
  ];
}

/** How BuildKit marks an attachment: "attestation-manifest". Its platform is unknown/unknown, so that nothing runs it. */
export function attachmentKind({ annotations, platform }: IndexEntry): string | undefined {
  return platform === undefined || platform.os === "unknown" ? annotations?.[REFERENCE_TYPE] : undefined;
}

/** A manifest in messages: its platform, or else its digest. */
export function nameOf({ platform, descriptor }: ManifestNode): string {
  return platform === undefined ? descriptor.digest : formatPlatform(platform);
}

/** "linux/arm64/v8" */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part).join("/");
}
