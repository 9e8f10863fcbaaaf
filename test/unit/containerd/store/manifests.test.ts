import { linkSync, mkdtempSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { allLayers, layersIn, likelyPaths, readJson } from "../../../../src/containerd/store/manifests.ts";
import { boltDatabase } from "../../../support/bolt.ts";
import { ContentStore } from "../../../support/content-store.ts";
import { fakeFolder } from "../../../support/fake-folder.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const TAR = "application/vnd.oci.image.layer.v1.tar+encrypted";
const digestOf = (number: number) => `sha256:${String(number).padStart(64, "0")}`;
const layer = (digest: string) => ({ mediaType: TAR, digest, size: 1 });
const newStore = () => new ContentStore(mkdtempSync(join(folder, "root-")));

const now = performance.now;

/** The clock's next readings; the last one stays. No spy: it would record hundreds of thousands of calls. */
function setClock(...readings: readonly number[]): void {
  let next = 0;
  performance.now = () => readings[Math.min(next++, readings.length - 1)] ?? 0;
  onTestFinished(() => {
    performance.now = now;
  });
}

test("of blobs that pulls hold, 4,096 may be manifests", () => {
  const store = newStore();
  const held = Object.fromEntries(Array.from({ length: 4097 }, (_, i) => [digestOf(i), ""]));
  store.describe(boltDatabase({ v1: { "k8s.io": { leases: { pull: { content: held } } } } }));
  const [leased] = likelyPaths(store.folder, undefined);
  expect(leased?.paths).toHaveLength(4096);
});

test("of all blobs, 20,000 may be manifests", () => {
  // However long it takes to look at so many.
  setClock(0);
  const store = newStore();
  const first = store.path(digestOf(0));
  writeFileSync(first, "{}");
  for (let i = 1; i <= 20_000; i++) linkSync(first, store.path(digestOf(i)));
  const [, all] = likelyPaths(store.folder, undefined);
  expect(all).toMatchObject({ paths: { length: 20_000 }, isComplete: false });
});

test("200,000 blobs are looked at, and no more", () => {
  setClock(0);
  const store = newStore();
  // It is too long for a manifest.
  writeFileSync(store.path(digestOf(0)), "");
  truncateSync(store.path(digestOf(0)), 4_194_305);
  const found = (count: number) => {
    fakeFolder(
      `${store.folder}/blobs/sha256`,
      Array<string>(count).fill(digestOf(0).slice("sha256:".length)),
    );
    const [, all] = likelyPaths(store.folder, undefined);
    return all;
  };
  expect(found(200_000)).toEqual({ paths: [], isComplete: true });
  expect(found(200_001)).toEqual({ paths: [], isComplete: false });
});

test("a blob of 4 MiB may be a manifest, and no larger one", () => {
  const store = newStore();
  const path = store.path(digestOf(0));
  writeFileSync(path, "{}");
  const found = (size: number) => {
    truncateSync(path, size);
    const [, all] = likelyPaths(store.folder, undefined);
    return [all?.paths.length, readJson(path)?.length];
  };
  expect(found(4_194_304)).toEqual([1, 4_194_304]);
  expect(found(4_194_305)).toEqual([0, undefined]);
});

test("1,024 layers of a manifest are looked at, and of more not one", () => {
  const layers = (count: number) =>
    layersIn(
      Buffer.from(JSON.stringify({ layers: Array.from({ length: count }, (_, i) => layer(digestOf(i))) })),
      undefined,
    );
  expect(layers(1024)).toHaveLength(1024);
  expect(layers(1025)).toEqual([]);
});

test("four descriptors of a manifest's layer are taken", () => {
  const layers = (count: number) =>
    layersIn(Buffer.from(JSON.stringify({ layers: Array(count).fill(layer(digestOf(0))) })), undefined);
  expect([layers(4).length, layers(5).length]).toEqual([4, 4]);
});

test("blobs are looked at for 3 s, and manifests are read for another 3 s", () => {
  const store = newStore();
  store.addManifest([layer(digestOf(0))]);
  // Each search reads the clock when it begins, and before each blob.
  const isWhole = (...readings: readonly number[]) => {
    setClock(...readings);
    return allLayers(store.folder).isComplete;
  };
  expect([isWhole(0, 3000, 3000, 6000), isWhole(0, 3001), isWhole(0, 0, 0, 3001)]).toEqual([
    true,
    false,
    false,
  ]);
});

test.each([100, 16 * 1024, 16 * 1024 + 1, 100_000])("a document of %i bytes is read whole", (size) => {
  const path = join(mkdtempSync(join(folder, "json-")), "blob");
  const text = `{"a":"${"x".repeat(size - 8)}"}`;
  writeFileSync(path, text);
  expect(text).toHaveLength(size);
  expect(readJson(path)?.toString()).toBe(text);
});
