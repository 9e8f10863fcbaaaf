import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ContainerdImages } from "../../../src/node/containerd-images.ts";
import { unopenedImages } from "../../../src/node/image-report.ts";
import { SealRecords } from "../../../src/tenants/seal-record.ts";
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

/** A store with an image of three layers, one of which is described in its manifest. */
function storeWithImage(layer: object) {
  const store = new ContentStore(mkdtempSync(join(folder, "root-")));
  const [a = "", b = "", c = ""] = ["a", "b", "c"].map((text) => sha256(Buffer.from(text)));
  // OCI image-spec, "Layer ChainID": the digest of the chain below and the layer, with a space between them.
  const below = sha256(Buffer.from(`${a} ${b}`));
  const chains = [a, below, sha256(Buffer.from(`${below} ${c}`))];
  const config = JSON.stringify({ rootfs: { type: "layers", diff_ids: [a, b, c] } });
  const described = { mediaType: "application/vnd.oci.image.config.v1+json", size: config.length };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { ...described, digest: store.add(config) },
    layers: [layer],
  });
  // Go's varint of the size: two groups of 7 bits of twice the number.
  const size = Buffer.of(((2 * manifest.length) & 0x7f) | 0x80, (2 * manifest.length) >> 7);
  const mediatype = "application/vnd.oci.image.manifest.v1+json";
  const image = { target: { digest: store.add(manifest), mediatype, size } };
  const unpack = (snapshot: string | undefined) => {
    const snapshots = { overlayfs: { [snapshot ?? "none"]: { name: "1" } } };
    store.describe(boltDatabase({ v1: { "k8s.io": { images: { [NAME]: image }, snapshots } } }));
  };
  return { root: store.root, chains, unpack };
}

const PLAIN = { mediaType: "application/vnd.oci.image.layer.v1.tar", digest: sha256(Buffer.of(1)), size: 1 };
const ENCRYPTED = {
  ...PLAIN,
  mediaType: `${PLAIN.mediaType}+encrypted`,
  annotations: { "org.opencontainers.image.enc.keys.jwe": Buffer.from("{}").toString("base64") },
};

test("an image is unpacked if the chain of all its layers has a snapshot", async () => {
  const { root, chains, unpack } = storeWithImage(PLAIN);
  const unpacked = async () => {
    const found: unknown[] = [];
    for await (const { name, chains: ofImage } of new ContainerdImages(root).unpacked())
      found.push([name, ofImage]);
    return found;
  };
  unpack(chains[2]);
  expect(await unpacked()).toEqual([[NAME, chains]]);
  unpack(chains[1]);
  expect(await unpacked()).toEqual([]);
  unpack(`extract-1-a ${chains[2]}`);
  expect(await unpacked()).toEqual([]);
});

test("an unpacked image that no key opens is reported, unless the node has tenants", async () => {
  const settings = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
  const findings = async (layer: object, options = {}) => {
    const { root, chains, unpack } = storeWithImage(layer);
    unpack(chains[2]);
    const found = await unopenedImages({ settings, root, ...options });
    return found.map(({ message }) => message);
  };
  expect(await findings(PLAIN)).toEqual([]);
  expect(await findings(ENCRYPTED)).toEqual([expect.stringMatching(/test:enc is unpacked .*no key here/)]);
  expect(await findings(ENCRYPTED, { records: new SealRecords(folder) })).toEqual([
    expect.stringMatching(/has a layer without a seal record/),
  ]);
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
