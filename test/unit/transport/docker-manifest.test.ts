import { expect, test } from "vitest";
import type { Descriptor } from "../../../src/spec/descriptor.ts";
import type { IndexEntry } from "../../../src/spec/manifest.ts";
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from "../../../src/spec/media-types.ts";
import { MemoryBlobs, readSmall } from "../../../src/transport/blob.ts";
import { dockerManifest, named } from "../../../src/transport/docker-manifest.ts";

const LAYER = "application/vnd.oci.image.layer.v1.tar+gzip";
const blobs = new MemoryBlobs("it");
const json = (value: object) => Buffer.from(JSON.stringify(value));
const blob = (text: string, mediaType = LAYER) => blobs.add(mediaType, Buffer.from(text));
const config = blob("{}", OCI_CONFIG);
const path = ({ digest }: Descriptor) => digest.replace("sha256:", "blobs/sha256/");

const manifest = (layers: readonly Descriptor[], more: object = {}) =>
  blobs.add(OCI_MANIFEST, json({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers, ...more }));
const index = (...manifests: readonly IndexEntry[]) =>
  blobs.add(OCI_INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
const on = (entry: Descriptor, os: string, architecture: string): IndexEntry =>
  ({ ...entry, platform: { os, architecture } }) as IndexEntry;

async function saved(root: IndexEntry): Promise<unknown> {
  const bytes = await dockerManifest(root, async (it) => await readSmall(blobs, it, 10_000));
  return bytes && JSON.parse(Buffer.from(bytes).toString());
}

test("an image is listed by the paths of its blobs, with Docker's form of its name", async () => {
  const [a, b] = [blob("a"), blob("b")];
  const image = manifest([a, b]);
  const expected = { Config: path(config), RepoTags: null, Layers: [path(a), path(b)] };
  expect(await saved(image)).toEqual([expected]);
  expect(await saved(named(image, "v1"))).toEqual([expected]);
  for (const [name, tag] of [
    ["app:1", "app:1"],
    ["docker.io/library/app:1", "app:1"],
    ["me/app:1", "me/app:1"],
    ["reg.example:5000/app:1", "reg.example:5000/app:1"],
  ] as const) {
    expect(await saved(named(image, name))).toEqual([{ ...expected, RepoTags: [tag] }]);
  }
});

test("of an index, linux/amd64 is listed, or else the first platform that is run", async () => {
  const [a, b, attestation] = [manifest([blob("a")]), manifest([blob("b")]), manifest([blob("c")])];
  const layers = async (root: IndexEntry) => ((await saved(root)) as { Layers: string[] }[])[0]?.Layers;
  const [arm, amd, unknown] = [
    on(a, "linux", "arm64"),
    on(b, "linux", "amd64"),
    on(attestation, "unknown", "unknown"),
  ];
  expect(await layers(index(unknown, arm, amd))).toEqual([path(blob("b"))]);
  expect(await layers(index(unknown, arm))).toEqual([path(blob("a"))]);
  expect(await saved(index(unknown))).toBeUndefined();
});

test("nothing is listed that Docker could not run", async () => {
  expect(await saved(manifest([blob("a"), blob("b", `${LAYER}+encrypted`)]))).toBeUndefined();
  expect(await saved(manifest([blob("a", "application/vnd.example.model")]))).toBeUndefined();
  const artifact = blob("{}", "application/vnd.example.config");
  expect(await saved(manifest([blob("a")], { config: artifact }))).toBeUndefined();
});

test("a whole name is containerd's as well, and a tag takes the place of another name", () => {
  const [ref, full] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];
  const root = { ...config, annotations: { [ref]: "old", [full]: "reg.example/old:1", other: "kept" } };
  expect(named(root, "v1").annotations).toEqual({ [ref]: "v1", other: "kept" });
  expect(named(root, "app:1").annotations).toEqual({
    [ref]: "app:1",
    [full]: "docker.io/library/app:1",
    other: "kept",
  });
});
