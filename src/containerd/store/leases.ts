import { dirname, join } from "node:path";
import { openRegularFile } from "../../io/file.ts";
import { files } from "../../process/files.ts";
import { parseDigest } from "../../spec/digest.ts";
import { Bolt } from "./metadata.ts";
import { METADATA, SCHEMA } from "./schema.ts";

/**
 * Returns the digests that each of containerd's leases holds. A pull leases everything that it fetches. The manifests that
 * share a lease with a layer thus belong to current pulls.
 * @returns an empty result when the metadata can't be read, or has another format
 */
export function leasedDigests(store: string): string[][] {
  let fd: number;
  try {
    fd = openRegularFile(join(dirname(store), METADATA)).fd;
  } catch {
    return [];
  }
  try {
    const database = Bolt.open(fd);
    return database === null ? [] : [...leasesOf(database)];
  } finally {
    files.closeSync(fd);
  }
}

/** containerd's schema (core/metadata/buckets.go): v1/NAMESPACE/leases/ID/content/DIGEST. */
function* leasesOf(database: Bolt): Generator<string[]> {
  for (const [, namespace] of database.entries(database.bucket(database.root(), SCHEMA))) {
    for (const [, lease] of database.entries(database.bucket(namespace, "leases"))) {
      const keys = [...database.entries(database.bucket(lease, "content"))].map(([key]) => key);
      yield keys.filter((key) => parseDigest(key) !== undefined);
    }
  }
}
