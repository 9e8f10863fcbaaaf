import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ContainerdImages } from "../../../src/node/containerd-images.ts";
import { boltDatabase } from "../../support/bolt.ts";
import { ContentStore } from "../../support/content-store.ts";
import { sha256 } from "../../support/images.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
/** The image in the fixture, and the size of its manifest. */
const NAME = "127.0.0.1:5000/test:enc";
const SIZE = 5920;

test("an image is found by its name in containerd's metadata", async () => {
  const store = new ContentStore(mkdtempSync(join(folder, "root-")));
  const manifest = `{"schemaVersion":2,"layers":[]}`.padEnd(SIZE);
  const digest = store.add(manifest);
  store.lease(digest, sha256(Buffer.of()));
  const images = new ContainerdImages(store.root);
  const image = await images.open(NAME);
  expect(image?.root).toEqual({
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest,
    size: SIZE,
  });
  expect(Buffer.from((await image?.readManifest(image.root)) ?? []).toString()).toBe(manifest);
  expect(await images.open("test:enc")).toBeUndefined();
  for await (const { name } of images.unpacked()) expect.fail(`${name} is not unpacked`);
});

test("an image is unpacked if the chain of all its layers has a snapshot", async () => {
  const store = new ContentStore(mkdtempSync(join(folder, "root-")));
  const diffIds = ["a", "b", "c"].map((text) => sha256(Buffer.from(text)));
  // OCI image-spec, "Layer ChainID": the digest of the chain below and the layer, with a space between them.
  const [a = "", b = "", c = ""] = diffIds;
  const below = sha256(Buffer.from(`${a} ${b}`));
  const chains = [a, below, sha256(Buffer.from(`${below} ${c}`))];
  const config = JSON.stringify({ rootfs: { type: "layers", diff_ids: diffIds } });
  const described = { mediaType: "application/vnd.oci.image.config.v1+json", size: config.length };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { ...described, digest: store.add(config) },
    layers: [],
  });
  const mediatype = "application/vnd.oci.image.manifest.v1+json";
  // Go's varint of the size: two groups of 7 bits of twice the number.
  const size = String.fromCharCode(((2 * manifest.length) & 0x7f) | 0x80, (2 * manifest.length) >> 7);
  const unpackedWith = async (snapshot: string) => {
    const image = { target: { digest: store.add(manifest), mediatype, size: Buffer.from(size, "latin1") } };
    const snapshots = { overlayfs: { [snapshot]: { name: "1" } } };
    store.describe(boltDatabase({ v1: { "k8s.io": { images: { [NAME]: image }, snapshots } } }));
    const found: unknown[] = [];
    for await (const { name, chains } of new ContainerdImages(store.root).unpacked())
      found.push([name, chains]);
    return found;
  };
  expect(await unpackedWith(chains[2] ?? "")).toEqual([[NAME, chains]]);
  expect(await unpackedWith(chains[1] ?? "")).toEqual([]);
});

test.each([
  ["nothing", () => undefined],
  ["a FIFO", (path: string) => execFileSync("mkfifo", [path])],
  ["a folder", (path: string) => mkdirSync(path)],
])("metadata that is %s is reported", (_what, make) => {
  const root = mkdtempSync(join(folder, "root-"));
  mkdirSync(join(root, "io.containerd.metadata.v1.bolt"));
  make(join(root, "io.containerd.metadata.v1.bolt/meta.db"));
  expect(() => new ContainerdImages(root)).toThrow(expect.objectContaining({ code: "CONTENT_STORE" }));
});
