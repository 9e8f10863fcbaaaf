import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ContainerdMetadata } from "../../../../src/containerd/store/snapshots.ts";
import { boltDatabase } from "../../../support/bolt.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const CHAIN = `sha256:${"a".repeat(64)}`;
const LAYER = `sha256:${"1".repeat(64)}`;
const NAMESPACE = {
  content: { blob: { [LAYER]: { labels: { "containerd.io/uncompressed": CHAIN } } } },
  leases: { pull: { content: { [LAYER]: "" }, snapshots: { overlayfs: { [`extract-1-a ${CHAIN}`]: "" } } } },
  snapshots: { overlayfs: { id: { parent: CHAIN }, [CHAIN]: { name: "1" } } },
};

/** Metadata in which a bucket's page is beyond the end of the file. */
function metadataWithout(bucket: string | undefined): ContainerdMetadata {
  const root = mkdtempSync(join(folder, "root-"));
  const database = boltDatabase({ v1: { "k8s.io": NAMESPACE } });
  // A bucket's value begins with the number of its page; 0 stands for the bytes that follow.
  if (bucket !== undefined)
    database.writeBigUInt64LE(9999n, database.lastIndexOf(bucket) + Buffer.byteLength(bucket));
  mkdirSync(join(root, "io.containerd.metadata.v1.bolt"));
  writeFileSync(join(root, "io.containerd.metadata.v1.bolt/meta.db"), database);
  return new ContainerdMetadata(join(root, "io.containerd.content.v1.content"));
}

describe("metadata that can't be read whole gives no answer:", () => {
  const questions: [string, string, (metadata: ContainerdMetadata) => unknown][] = [
    ["whether a layer may complete a chain", "snapshots", (it) => it.mayComplete(LAYER, CHAIN)],
    ["which chains are alive", "overlayfs", (it) => [...it.chains()]],
    ["what is below a container", "snapshots", (it) => it.chainsBelow("k8s.io", "id")],
    ["which image volumes there are", "snapshots", (it) => it.pathKeys("k8s.io")],
    ["which chains a pull makes", "leases", (it) => it.unpacking(LAYER)],
    ["which blobs are unpacked", "blob", (it) => it.unpackedBlobs()],
    ["anything", "v1", (it) => [...it.chains()]],
  ];
  test.each(questions)("%s", (_what, bucket, ask) => {
    expect(ask(metadataWithout(undefined))).toBeTruthy();
    expect(() => ask(metadataWithout(bucket))).toThrow(expect.objectContaining({ code: "CONTENT_STORE" }));
  });
});
