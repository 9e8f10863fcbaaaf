import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ContainerdImages } from "../../../src/node/containerd-images.ts";
import { ContentStore } from "../../support/content-store.ts";
import { ImageStore, PLAIN_LAYER } from "../../support/image-store.ts";
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
  const store = new ImageStore(mkdtempSync(join(folder, "root-")));
  const chains = store.add(NAME, [PLAIN_LAYER, PLAIN_LAYER, PLAIN_LAYER]);
  const unpackedWith = async (...snapshots: (string | undefined)[]) => {
    store.write(snapshots.map(String));
    const found: unknown[] = [];
    for await (const { name, chains: ofImage } of new ContainerdImages(store.root).unpacked())
      found.push([name, ofImage]);
    return found;
  };
  expect(await unpackedWith(chains[2])).toEqual([[NAME, chains]]);
  expect(await unpackedWith(chains[1])).toEqual([]);
  expect(await unpackedWith(`extract-1-a ${chains[2]}`)).toEqual([]);
});

test("an image with several names is unpacked once, under the name that it was pulled by", async () => {
  const store = new ImageStore(mkdtempSync(join(folder, "root-")));
  const names = [
    "docker.io/library/sha256:1",
    "docker.io/library/x:1",
    "registry.example/x@sha256:00",
    "sha256:00",
  ];
  const chains = names.map((name) => store.add(name, [PLAIN_LAYER], "same"));
  store.write(chains.flat().slice(0, 1));
  const found: string[] = [];
  for await (const { name } of new ContainerdImages(store.root).unpacked()) found.push(name);
  expect(found).toEqual(["docker.io/library/sha256:1"]);
});

test.each([
  ["nothing", () => undefined],
  ["a FIFO", (path: string) => execFileSync("mkfifo", [path])],
  ["a folder", (path: string) => mkdirSync(path)],
])("metadata that is %s is reported", async (_what, make) => {
  const root = mkdtempSync(join(folder, "root-"));
  mkdirSync(join(root, "io.containerd.metadata.v1.bolt"));
  make(join(root, "io.containerd.metadata.v1.bolt/meta.db"));
  await expect(new ContainerdImages(root).open(NAME)).rejects.toMatchObject({ code: "CONTENT_STORE" });
});
