import { digestOf } from "../../io/digester.ts";
import * as LIMITS from "../../limits.ts";
import { likelyPaths, readJson } from "./manifests.ts";

/** A manifest or index of a store. Its bytes match its digest. */
export interface StoredDocument {
  readonly digest: string;
  readonly bytes: Buffer<ArrayBuffer>;
}

/**
 * Yields the JSON documents in a content store that mention a digest, starting with those of current pulls. Each is hashed, so
 * that documents changed on the disk are left out.
 */
export function* documentsNaming(store: string, digest: string): Generator<StoredDocument> {
  const seen = new Set<string>();
  const deadline = performance.now() + LIMITS.storeScanMs;
  for (const { paths } of likelyPaths(store, digest)) {
    for (const path of paths) {
      if (seen.has(path)) continue;
      if (performance.now() > deadline) return;
      seen.add(path);
      const bytes = readJson(path);
      if (bytes === null || !bytes.includes(digest)) continue;
      const [algorithm = "", hex = ""] = path.split("/").slice(-2);
      const named = `${algorithm}:${hex}`;
      if (digestOf(bytes, algorithm) === named) yield { digest: named, bytes };
    }
  }
}
