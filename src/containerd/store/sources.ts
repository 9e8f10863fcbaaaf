import { closeSync } from "node:fs";
import { dirname, join } from "node:path";
import { openRegularFile } from "../../io/file.ts";
import { LIMITS } from "../../limits.ts";
import { METADATA, SCHEMA } from "./leases.ts";
import { Bolt } from "./metadata.ts";

/** containerd's label of a blob: the repositories that it came from, by their registry (core/remotes/docker/handler.go). */
const LABEL = "containerd.io/distribution.source.";

/**
 * The names under which containerd's metadata has a manifest or index: `registry.example.com:5000/shop/app:1.0` of images,
 * and `registry.example.com/shop/app` of what was pulled, where containerd leaves the port out. Empty when the metadata
 * can't be read.
 */
export function namesOf(store: string, digest: string): readonly string[] {
  let fd: number;
  try {
    fd = openRegularFile(join(dirname(store), METADATA)).fd;
  } catch {
    return [];
  }
  try {
    const database = Bolt.open(fd);
    return database === null ? [] : [...new Set(namesIn(database, digest))].slice(0, LIMITS.blobSources);
  } finally {
    closeSync(fd);
  }
}

/**
 * containerd's schema (core/metadata/buckets.go): v1/NAMESPACE/image/NAME/target/digest, and
 * v1/NAMESPACE/content/blob/DIGEST/labels/NAME.
 */
function* namesIn(database: Bolt, digest: string): Generator<string> {
  for (const [, namespace] of database.entries(database.bucket(database.root(), SCHEMA))) {
    for (const [name, image] of database.entries(database.bucket(namespace, "image"))) {
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
