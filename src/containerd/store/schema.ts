/** Where containerd's metadata is, and how it is laid out (core/metadata/buckets.go). */
import { DecoderError } from "../../errors.ts";
import type { Descriptor } from "../../spec/descriptor.ts";
import { parseDigest } from "../../spec/digest.ts";
import * as LIMITS from "../../system-limits.ts";
import type { Bolt, Bucket } from "./metadata.ts";

/** Below containerd's root, beside the content store (plugins io.containerd.metadata.v1.bolt and ….content.v1.content). */
export const METADATA = "io.containerd.metadata.v1.bolt/meta.db";
/** The bucket with all others. */
export const SCHEMA = "v1";
/** Prefix of the label with the repositories that brought a blob. Their host follows, without a port. */
const SOURCE_LABEL = "containerd.io/distribution.source.";

/** An image in containerd's metadata: the descriptor of its manifest or index, and a name. */
export interface ImageRecord extends Pick<Descriptor, "mediaType" | "digest" | "size"> {
  /** Usually `registry.example.com:5000/shop/app:1.0`, but a client may choose any name. */
  readonly name: string;
}

export function walk(database: Bolt, start: Bucket, path: readonly string[]): Bucket | null {
  return path.reduce<Bucket | null>((bucket, name) => bucket && database.bucket(bucket, name), start);
}

export function isSnapshot(database: Bolt, namespace: Bucket, key: string): boolean {
  return [...database.entries(database.bucket(namespace, "snapshots"))].some(
    ([, snapshotter]) => snapshotter !== null && database.bucket(snapshotter, key) !== null,
  );
}

/** Chains that have a finished snapshot. */
export function finishedChains(database: Bolt, namespace: Bucket): string[] {
  return snapshotKeys(database, namespace).filter((key) => parseDigest(key) !== undefined);
}

/** Finished chains, and those that a pull is still making, however long it takes. */
export function snapshotChains(database: Bolt, namespace: Bucket): string[] {
  return snapshotKeys(database, namespace).flatMap((key) =>
    parseDigest(key) === undefined ? extractedChain(key) : [key],
  );
}

function snapshotKeys(database: Bolt, namespace: Bucket): string[] {
  return [...database.entries(database.bucket(namespace, "snapshots"))].flatMap(([, snapshotter]) =>
    [...database.entries(snapshotter)].map(([key]) => key),
  );
}

/** Chains that pulls which hold a layer are making. */
export function chainsMadeOf(database: Bolt, namespace: Bucket, layer: string): string[] {
  const chains: string[] = [];
  for (const [, lease] of database.entries(database.bucket(namespace, "leases"))) {
    if (lease === null || !holds(database, lease, layer)) continue;
    for (const [, snapshotter] of database.entries(database.bucket(lease, "snapshots"))) {
      for (const [key] of database.entries(snapshotter)) chains.push(...extractedChain(key));
    }
  }
  return chains;
}

function holds(database: Bolt, lease: Bucket, digest: string): boolean {
  return [...database.entries(database.bucket(lease, "content"))].some(([key]) => key === digest);
}

/** Paths sort before the digits and letters that other keys begin with. */
export function* pathsIn(database: Bolt, snapshotter: Bucket | null): Generator<string> {
  for (const [key] of database.entries(snapshotter)) {
    if (key >= "0") return;
    if (key.startsWith("/")) yield Buffer.from(key, "latin1").toString("utf8");
  }
}

/** A pull's key of an unfinished snapshot: `extract-<time>-<random> <chain ID>`. */
function extractedChain(key: string): string[] {
  const chain = /^extract-\S+ (?<chain>\S+)$/.exec(key)?.groups?.["chain"];
  return chain !== undefined && parseDigest(chain) !== undefined ? [chain] : [];
}

export function parentsOf(database: Bolt, snapshotter: Bucket, snapshot: Bucket): string[] {
  const chains: string[] = [];
  for (let at: Bucket | null = snapshot; at !== null; ) {
    const parent: string | undefined = database.value(at, "parent")?.toString("latin1");
    if (parent === undefined || parent === "") return chains;
    if (chains.length >= LIMITS.snapshotDepth)
      throw new DecoderError("LIMIT", "a container has too many layers");
    chains.push(parent);
    at = database.bucket(snapshotter, parent);
    if (at === null)
      throw new DecoderError("CONTENT_STORE", "a snapshot's parent is missing from containerd's metadata");
  }
  return chains;
}

/** v1/NAMESPACE/images/NAME/target/{digest,mediatype,size}. */
export function imagesIn(database: Bolt, namespace: Bucket): ImageRecord[] {
  return [...database.entries(database.bucket(namespace, "images"))].flatMap(([name, image]) => {
    const target = database.bucket(image, "target");
    const digest = database.value(target, "digest")?.toString("latin1");
    if (digest === undefined) return [];
    const mediaType = database.value(target, "mediatype")?.toString("latin1") ?? "";
    return [{ name, mediaType, digest, size: varint(database.value(target, "size") ?? Buffer.of()) }];
  });
}

/** Go's encoding/binary: groups of 7 bits, the sign in the lowest bit. */
function varint(bytes: Uint8Array): number {
  let value = 0;
  for (const [i, byte] of bytes.entries()) value += (byte & 0x7f) * 2 ** (7 * i);
  return value / 2;
}

/** v1/NAMESPACE/content/blob/DIGEST/labels/NAME. */
export function repositoriesOf(database: Bolt, namespace: Bucket, digest: string): string[] {
  const labels = walk(database, namespace, ["content", "blob", digest, "labels"]);
  return [...database.entries(labels)].flatMap(([key, , value]) =>
    key.startsWith(SOURCE_LABEL) ? splitSources(key.slice(SOURCE_LABEL.length), value) : [],
  );
}

function splitSources(host: string, value: Buffer): string[] {
  return value
    .toString("latin1")
    .split(",")
    .flatMap((repository) => (repository === "" ? [] : `${host}/${repository}`));
}
