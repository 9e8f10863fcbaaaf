import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { Bolt } from "../../../../src/containerd/store/metadata.ts";
import { ContainerdMetadata } from "../../../../src/containerd/store/snapshots.ts";
import { boltDatabase } from "../../../support/bolt.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const CHAIN = `sha256:${"a".repeat(64)}`;
const LAYER = `sha256:${"1".repeat(64)}`;
const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const LABELS = {
  "containerd.io/uncompressed": CHAIN,
  "containerd.io/distribution.source.reg.example": "a,b",
};
const NAMESPACE = {
  // Go's varint of 5920.
  images: {
    "reg.example/app:1": { target: { digest: LAYER, mediatype: MANIFEST, size: Buffer.of(0xc0, 0x5c) } },
  },
  content: { blob: { [LAYER]: { labels: LABELS } } },
  leases: { pull: { content: { [LAYER]: "" }, snapshots: { overlayfs: { [`extract-1-a ${CHAIN}`]: "" } } } },
  snapshots: { overlayfs: { id: { parent: CHAIN }, [CHAIN]: { name: "1" } } },
};

function metadataOf(database: Buffer): ContainerdMetadata {
  const root = mkdtempSync(join(folder, "root-"));
  mkdirSync(join(root, "io.containerd.metadata.v1.bolt"));
  writeFileSync(join(root, "io.containerd.metadata.v1.bolt/meta.db"), database);
  return new ContainerdMetadata(join(root, "io.containerd.content.v1.content"));
}

/** Metadata in which a bucket's page is beyond the end of the file. */
function metadataWithout(bucket: string | undefined): ContainerdMetadata {
  const database = boltDatabase({ v1: { "k8s.io": NAMESPACE } });
  // A bucket's value begins with the number of its page; 0 stands for the bytes that follow.
  if (bucket !== undefined)
    database.writeBigUInt64LE(9999n, database.lastIndexOf(bucket) + Buffer.byteLength(bucket));
  return metadataOf(database);
}

test("a blob has at most 1,024 names", () => {
  const names = Array.from({ length: 1025 }, (_, i) => `reg.example/app:${1000 + i}`);
  const images = Object.fromEntries(names.map((name) => [name, { target: { digest: LAYER } }]));
  const metadata = metadataOf(boltDatabase({ v1: { "k8s.io": { images } } }));
  expect(metadata.namesOf(LAYER)).toEqual(names.slice(0, 1024));
});

test("1,024 layers below a container are followed", () => {
  const chains = Array.from({ length: 1024 }, (_, i) => String(1000 + i));
  const below = chains.map((chain, i) => [chain, { parent: chains[i + 1] ?? "" }]);
  const overlayfs = { id: { parent: chains[0] ?? "" }, ...Object.fromEntries(below) };
  const metadata = metadataOf(boltDatabase({ v1: { "k8s.io": { snapshots: { overlayfs } } } }));
  expect(metadata.chainsBelow("k8s.io", "id")).toEqual(chains);
});

test("no more than 1,024 layers below a container are followed", () => {
  const overlayfs = { id: { parent: CHAIN }, [CHAIN]: { parent: CHAIN } };
  const metadata = metadataOf(boltDatabase({ v1: { "k8s.io": { snapshots: { overlayfs } } } }));
  const values = vi.spyOn(Bolt.prototype, "value");
  onTestFinished(() => values.mockRestore());
  expect(() => metadata.chainsBelow("k8s.io", "id")).toThrow("a container has too many layers");
  expect(values).toHaveBeenCalledTimes(1025);
});

test("65,536 pages of metadata are read where an answer must be whole", () => {
  const open = vi.spyOn(Bolt, "open");
  onTestFinished(() => open.mockRestore());
  metadataWithout(undefined).images();
  expect(open.mock.lastCall?.[1]).toBe(65_536);
});

test("metadata has the names of images and of pulled blobs", () => {
  const metadata = metadataWithout(undefined);
  const image = { name: "reg.example/app:1", mediaType: MANIFEST, digest: LAYER, size: 5920 };
  expect(metadata.images()).toEqual([image]);
  expect(metadata.namesOf(LAYER)).toEqual(["reg.example/app:1", "reg.example/a", "reg.example/b"]);
  expect(metadata.namesOf(CHAIN)).toEqual([]);
});

test("a chain is finished once its snapshot has its name, and alive from the pull that makes it on", () => {
  const [pulled, other] = [`sha256:${"b".repeat(64)}`, "container-id"];
  const overlayfs = {
    [CHAIN]: {},
    [`extract-1-a ${pulled}`]: {},
    [`my-extract-1-a sha256:${"c".repeat(64)}`]: {},
    [other]: {},
  };
  const metadata = metadataOf(boltDatabase({ v1: { "k8s.io": { snapshots: { overlayfs } } } }));
  expect([...metadata.finishedChains()]).toEqual([CHAIN]);
  expect([...metadata.chains()].sort()).toEqual([CHAIN, pulled].sort());
});

test("a layer may complete a chain that one of several snapshotters has", () => {
  const snapshots = { native: { [LAYER]: {} }, overlayfs: { [CHAIN]: {} } };
  const metadata = metadataOf(boltDatabase({ v1: { "k8s.io": { snapshots } } }));
  expect(metadata.mayComplete(LAYER, CHAIN)).toBe(true);
  expect(metadata.mayComplete(LAYER, `sha256:${"b".repeat(64)}`)).toBe(false);
});

describe("metadata that can't be read whole gives no answer:", () => {
  const questions: [string, string, (metadata: ContainerdMetadata) => unknown][] = [
    ["whether a layer may complete a chain", "snapshots", (it) => it.mayComplete(LAYER, CHAIN)],
    ["which chains are alive", "overlayfs", (it) => [...it.chains()]],
    ["which chains are finished", "overlayfs", (it) => [...it.finishedChains()]],
    ["what is below a container", "snapshots", (it) => it.chainsBelow("k8s.io", "id")],
    ["which image volumes there are", "snapshots", (it) => it.pathKeys("k8s.io")],
    ["which chains a pull makes", "leases", (it) => it.unpacking(LAYER)],
    ["which blobs are unpacked", "blob", (it) => it.unpackedBlobs()],
    ["which images there are", "images", (it) => it.images()],
    ["the names of an image", "images", (it) => it.namesOf(LAYER)],
    ["the repositories of a blob", "blob", (it) => it.namesOf(LAYER)],
    ["anything", "v1", (it) => [...it.chains()]],
  ];
  test.each(questions)("%s", (_what, bucket, ask) => {
    expect(ask(metadataWithout(undefined))).toBeTruthy();
    expect(() => ask(metadataWithout(bucket))).toThrow(expect.objectContaining({ code: "CONTENT_STORE" }));
  });
});

test("snapshots of one key in two namespaces are told apart", () => {
  const other = `sha256:${"b".repeat(64)}`;
  const snapshots = (parent: string) => ({
    overlayfs: { id: { parent }, [parent]: { name: "1" } },
  });
  const database = boltDatabase({
    v1: { default: { snapshots: snapshots(other) }, "k8s.io": { snapshots: snapshots(CHAIN) } },
  });
  const metadata = metadataOf(database);
  expect(metadata.chainsBelow("k8s.io", "id")).toEqual([CHAIN]);
  expect(metadata.chainsBelow("default", "id")).toEqual([other]);
  expect(metadata.chainsBelow("moby", "id")).toBeUndefined();
});

test("a blob that was unpacked has the digest of its tar, and one with a label of another form has none", () => {
  const labelled = (label: string) => ({ labels: { "containerd.io/uncompressed": label } });
  const blob = { [LAYER]: labelled(CHAIN), [CHAIN]: labelled("tar"), other: labelled(CHAIN) };
  const metadata = metadataOf(boltDatabase({ v1: { "k8s.io": { content: { blob } } } }));
  expect(metadata.unpackedBlobs()).toEqual([{ diffId: CHAIN, digest: LAYER }]);
});

test("metadata that changes is read eight times, until two readings agree", () => {
  const named = (name: string) => ({
    images: { [name]: { target: { digest: LAYER, mediatype: MANIFEST, size: Buffer.of(2) } } },
  });
  const root = mkdtempSync(join(folder, "root-"));
  mkdirSync(join(root, "io.containerd.metadata.v1.bolt"));
  const metadata = new ContainerdMetadata(join(root, "io.containerd.content.v1.content"));
  const open = Bolt.open;
  /** @param changes how many readings see another name than the one before */
  function readingsOf(changes: number) {
    let readings = 0;
    const write = () => {
      const name = `app:${Math.min(readings++, changes)}`;
      writeFileSync(
        join(root, "io.containerd.metadata.v1.bolt/meta.db"),
        boltDatabase({ v1: { "k8s.io": named(name) } }),
      );
    };
    const spy = vi.spyOn(Bolt, "open").mockImplementation((fd, pages) => {
      write();
      return open.call(Bolt, fd, pages);
    });
    write();
    readings = 0;
    try {
      return [metadata.namesOf(LAYER), spy.mock.calls.length];
    } catch (error) {
      return [(error as { code?: string }).code, spy.mock.calls.length];
    } finally {
      spy.mockRestore();
    }
  }
  expect(readingsOf(0)).toEqual([["app:0"], 2]);
  expect(readingsOf(3)).toEqual([["app:3"], 5]);
  expect(readingsOf(6)).toEqual([["app:6"], 8]);
  expect(readingsOf(7)).toEqual(["CONTENT_STORE", 8]);
});
