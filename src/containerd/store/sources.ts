import { closeSync } from "node:fs";
import { dirname, join } from "node:path";
import { openRegularFile } from "../../io/file.ts";
import * as LIMITS from "../../limits.ts";
import { Backoff } from "../../process/runtime.ts";
import { METADATA, SCHEMA } from "./leases.ts";
import { Bolt } from "./metadata.ts";

/** containerd's label of a blob: the repositories that it came from, by their registry (core/remotes/docker/handler.go). */
const LABEL = "containerd.io/distribution.source.";

/**
 * Returns the names of a manifest or index in containerd's metadata. Images have names such as
 * `registry.example.com:5000/shop/app:1.0`. Pulled blobs have `registry.example.com/shop/app`, without the port. The result is
 * empty when the metadata can't be read.
 */
export function namesOf(store: string, digest: string): readonly string[] {
  const backoff = new Backoff();
  for (let reads = 1; ; reads += 1) {
    const names = reading(store, (database) =>
      [...new Set(namesIn(database, digest))].slice(0, LIMITS.blobSources),
    );
    if (names === undefined || names.length > 0 || reads === READS) return names ?? [];
    // containerd may be overwriting a page at this moment. The digest then seems to be missing.
    backoff.sleep();
  }
}

/** Enough for several commits of containerd to end in the meantime. */
const READS = 9;

/** An image in containerd's metadata. */
interface StoredImageName {
  readonly namespace: string;
  /** Usually `registry.example.com:5000/shop/app:1.0`, but a client may choose any name. */
  readonly name: string;
  /** Digest of its manifest or index. */
  readonly digest: string;
}

/** Returns every image in containerd's metadata, or undefined when it can't be read. */
export function imagesOf(store: string): readonly StoredImageName[] | undefined {
  return reading(store, (database) => [...allImages(database)]);
}

function* allImages(database: Bolt): Generator<StoredImageName> {
  for (const [namespace, bucket] of database.entries(database.bucket(database.root(), SCHEMA))) {
    for (const [name, image] of database.entries(database.bucket(bucket, "images"))) {
      const digest = database.value(database.bucket(image, "target"), "digest")?.toString("latin1");
      if (digest !== undefined) yield { namespace, name, digest };
    }
  }
}

function reading<T>(store: string, read: (database: Bolt) => T): T | undefined {
  let fd: number;
  try {
    fd = openRegularFile(join(dirname(store), METADATA)).fd;
  } catch {
    return undefined;
  }
  try {
    const database = Bolt.open(fd);
    return database === null ? undefined : read(database);
  } finally {
    closeSync(fd);
  }
}

/**
 * containerd's schema (core/metadata/buckets.go): v1/NAMESPACE/images/NAME/target/digest, and
 * v1/NAMESPACE/content/blob/DIGEST/labels/NAME.
 */
function* namesIn(database: Bolt, digest: string): Generator<string> {
  for (const [, namespace] of database.entries(database.bucket(database.root(), SCHEMA))) {
    for (const [name, image] of database.entries(database.bucket(namespace, "images"))) {
      const target = database.value(database.bucket(image, "target"), "digest");
      if (target?.toString("latin1") === digest) yield name;
    }
    const blobs = database.bucket(database.bucket(namespace, "content"), "blob");
    const labels = database.bucket(database.bucket(blobs, digest), "labels");
    for (const [name, , value] of database.entries(labels)) {
      if (!name.startsWith(LABEL)) continue;
      const registry = name.slice(LABEL.length);
      for (const path of value.toString("latin1").split(",")) if (path !== "") yield `${registry}/${path}`;
    }
  }
}
