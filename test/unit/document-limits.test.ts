import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pack } from "tar-stream";
import { expect, test } from "vitest";
import { baseLayers } from "../../src/image/base.ts";
import { readTree } from "../../src/image/tree-reader.ts";
import { ContainerdImages } from "../../src/node/containerd-images.ts";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from "../../src/spec/media-types.ts";
import { readLayoutIndex } from "../../src/transport/layout.ts";
import { parseSource } from "../../src/transport/reference.ts";
import { LayoutStore } from "../../src/trust/find/layout-store.ts";
import { LayoutSignatures } from "../../src/trust/sign/layout-store.ts";
import { boltDatabase } from "../support/bolt.ts";
import { ContentStore } from "../support/content-store.ts";
import { blobPath, sha256, writeBlob } from "../support/images.ts";
import { putIndex, putManifest, readDocument, rootOf, tagRoot } from "../support/layouts.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const MiB = 1_048_576;
const NAME = "docker.io/library/app:1";

/** JSON of that many bytes. */
const padded = (value: unknown, size: number) => Buffer.from(JSON.stringify(value).padEnd(size));

/** A layout whose manifest has that many bytes. */
function largeManifest(size: number): string {
  const layout = mkdtempSync(join(folder, "layout-"));
  const small = putManifest(layout, []);
  const large = writeBlob(layout, OCI_MANIFEST, padded(readDocument(layout, small), size));
  rmSync(blobPath(layout, small.digest));
  tagRoot(layout, large);
  return layout;
}

/** A layout whose image's configuration has that many bytes. */
function largeConfiguration(size: number): string {
  const layout = mkdtempSync(join(folder, "layout-"));
  const diffIds = [sha256(Buffer.of(1))];
  const value = { os: "linux", architecture: "amd64", rootfs: { type: "layers", diff_ids: diffIds } };
  const config = writeBlob(layout, OCI_CONFIG, padded(value, size));
  tagRoot(layout, putManifest(layout, [], { manifest: { config } }));
  return layout;
}

async function dockerArchive(manifestBytes: number, configBytes: number): Promise<unknown> {
  const archive = pack();
  archive.entry({ name: "manifest.json" }, padded([{ Config: "c.json", Layers: [] }], manifestBytes));
  const rootfs = { type: "layers", diff_ids: [] };
  archive.entry({ name: "c.json" }, padded({ os: "linux", architecture: "amd64", rootfs }, configBytes));
  archive.finalize();
  const path = join(mkdtempSync(join(folder, "archive-")), "a.tar");
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  writeFileSync(path, Buffer.concat(chunks));
  return await parseSource(`docker-archive:${path}`).open();
}

/** A number as Go's `binary.PutVarint` writes it: groups of 7 bits of twice the number, the lowest first. */
function varint(number: number): Buffer {
  const groups: number[] = [];
  let rest = 2 * number;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) groups.push((rest % 0x80) | 0x80);
  return Buffer.from([...groups, rest]);
}

/** Opens an index of that many bytes in a containerd's content store. */
async function pulledIndex(size: number): Promise<unknown> {
  const store = new ContentStore(mkdtempSync(join(folder, "root-")));
  const digest = store.addManifest([]);
  const manifests: Descriptor[] = [{ mediaType: OCI_MANIFEST, digest, size: 1 }];
  const target = {
    digest: store.add(padded({ schemaVersion: 2, manifests }, size)),
    mediatype: OCI_INDEX,
    size: varint(size),
  };
  store.describe(boltDatabase({ v1: { "k8s.io": { images: { [NAME]: { target } } } } }));
  return await new ContainerdImages(store.root).open(NAME);
}

/** The most bytes that are read of a document, and how one of some size is read. */
const DOCUMENTS: readonly (readonly [what: string, most: number, read: (size: number) => unknown])[] = [
  [
    "a manifest of an image",
    4 * MiB,
    async (size) => {
      const source = await parseSource(`oci:${largeManifest(size)}:v1`).open();
      return await source.readManifest(source.root);
    },
  ],
  [
    "a manifest that a layout's index.json does not list",
    4 * MiB,
    async (size) => {
      const layout = largeManifest(size);
      const { digest } = rootOf(layout);
      tagRoot(layout, putIndex(layout, []));
      return await parseSource(`oci:${layout}@${digest}`).open();
    },
  ],
  [
    "a layout's index.json",
    4 * MiB,
    async (size) => {
      const layout = largeManifest(1000);
      const index = join(layout, "index.json");
      writeFileSync(index, readFileSync(index, "utf8").padEnd(size));
      return await readLayoutIndex(layout);
    },
  ],
  [
    "a manifest among signatures",
    4 * MiB,
    async (size) => await (await LayoutStore.open(largeManifest(size))).manifest("v1"),
  ],
  [
    "a manifest of signatures to add to",
    4 * MiB,
    async (size) => {
      const reference = { path: largeManifest(size), tag: "v1", digest: undefined, text: "" };
      return await new LayoutSignatures(reference).tagged("v1");
    },
  ],
  ["an index in containerd's content store", 4 * MiB, pulledIndex],
  ["the manifest.json of docker save", 4 * MiB, (size) => dockerArchive(size, 1000)],
  ["a configuration of docker save", 8 * MiB, (size) => dockerArchive(1000, size)],
  [
    "a base image's configuration",
    8 * MiB,
    async (size) => {
      const source = await parseSource(`oci:${largeConfiguration(1000)}:v1`).open();
      const open = () => parseSource(`oci:${largeConfiguration(size)}:v1`).open();
      return await baseLayers(await readTree(source), source, { open, name: "base" });
    },
  ],
];

test.each(DOCUMENTS)("%s: no more than the limit is read", async (_what, most, read) => {
  await expect(read(most)).resolves.toBeDefined();
  await expect(read(most + 1)).rejects.toThrow(/at most|more than|larger than/);
});
