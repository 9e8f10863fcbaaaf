import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import { beforeAll, expect, test } from "vitest";
import { readSmall } from "../../../src/transport/blob.ts";
import { parseSource } from "../../../src/transport/reference.ts";
import { diffId, sha256, tar } from "../../support/images.ts";
import { temporaryFolder } from "../../support/temporary.ts";

/** Archives as docker save has written them over the years. */
const folder = temporaryFolder();
let count = 0;
let layer: Buffer;

beforeAll(async () => {
  layer = await tar({ a: Buffer.from("layer") });
});

type Content = Uint8Array | { readonly link: string } | { readonly hardLink: string };

async function write(files: Readonly<Record<string, Content>>): Promise<string> {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) {
    if (content instanceof Uint8Array) archive.entry({ name }, Buffer.from(content));
    else if ("link" in content) archive.entry({ name, type: "symlink", linkname: content.link });
    else archive.entry({ name, type: "link", linkname: content.hardLink });
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  const path = join(folder, `${count++}.tar`);
  writeFileSync(path, Buffer.concat(chunks));
  return path;
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const config = (...diffIds: string[]) =>
  json({ os: "linux", architecture: "amd64", rootfs: { type: "layers", diff_ids: diffIds } });
const list = (...images: object[]) => json(images);
const image = (layers: string[], more: object = {}) => ({
  Config: "c.json",
  RepoTags: ["busybox:1.36"],
  Layers: layers,
  ...more,
});

async function open(path: string, tag?: string) {
  const name = tag === undefined ? "" : `:${tag}`;
  const source = await parseSource(`docker-archive:${path}${name}`).open();
  const manifest = JSON.parse(Buffer.from(await source.readManifest(source.root)).toString());
  return { source, manifest };
}

test("layers that are the same are one file and links to it", async () => {
  const path = await write({
    "manifest.json": list(image(["1/layer.tar", "2/layer.tar"])),
    "c.json": config(diffId(layer), diffId(layer)),
    "1/layer.tar": layer,
    "2/layer.tar": { link: "../1/layer.tar" },
  });
  const { manifest, source } = await open(path);
  expect(manifest.layers.map(({ digest }: { digest: string }) => digest)).toEqual([
    diffId(layer),
    diffId(layer),
  ]);
  expect(await readSmall(source, manifest.layers[1], 10_000)).toEqual(layer);
});

test("layers that are compressed get the digest of their compressed bytes", async () => {
  const packed = gzipSync(layer);
  const path = await write({
    "manifest.json": list(image(["l"])),
    "c.json": config(diffId(layer)),
    l: packed,
  });
  const { manifest, source } = await open(path);
  expect(manifest.layers).toEqual([
    { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: sha256(packed), size: packed.length },
  ]);
  expect(await readSmall(source, manifest.layers[0], 10_000)).toEqual(packed);
});

test("a layer that is another than the configuration says is found out when it is read", async () => {
  const wrong = Buffer.from(layer);
  wrong[600] = 1;
  const path = await write({
    "manifest.json": list(image(["l"])),
    "c.json": config(diffId(layer)),
    l: wrong,
  });
  const { manifest, source } = await open(path);
  await expect(readSmall(source, manifest.layers[0], 10_000)).rejects.toMatchObject({
    code: "DIGEST_MISMATCH",
  });
});

test("of several images one is named, in short or in full, or by its position", async () => {
  const images = [image([]), image([], { Config: "d.json", RepoTags: ["example.com:5000/x/y:2"] })];
  const other = json({ ...JSON.parse(config().toString()), created: "2020-01-01T00:00:00Z" });
  const path = await write({ "manifest.json": list(...images), "c.json": config(), "d.json": other });
  const digests = async (...tags: string[]) =>
    await Promise.all(tags.map(async (tag) => (await open(path, tag)).manifest.config.digest));
  const [first, second] = [sha256(config()), sha256(other)];
  expect(await digests("busybox:1.36", "docker.io/library/busybox:1.36", "@0")).toEqual([
    first,
    first,
    first,
  ]);
  expect(await digests("example.com:5000/x/y:2", "@1")).toEqual([second, second]);
  for (const tag of ["busybox", "busybox:1.3", "y:2", "@2"]) {
    await expect(open(path, tag)).rejects.toMatchObject({
      code: "NOT_FOUND",
      hint: expect.stringContaining("busybox:1.36"),
    });
  }
  await expect(open(path)).rejects.toMatchObject({ code: "USAGE" });
});

test.each([
  ["no manifest.json", () => ({ "c.json": config() })],
  ["a manifest.json that is no list", () => ({ "manifest.json": json({}), "c.json": config() })],
  ["no configuration", () => ({ "manifest.json": list(image([])) })],
  ["a configuration without diff_ids", () => ({ "manifest.json": list(image([])), "c.json": json({}) })],
  [
    "a diff_id that is no digest",
    () => ({ "manifest.json": list(image(["l"])), "c.json": config("sha256:../x"), l: layer }),
  ],
  [
    "fewer layers than diff_ids",
    () => ({ "manifest.json": list(image([])), "c.json": config(diffId(layer)) }),
  ],
  [
    "a layer that isn't there",
    () => ({ "manifest.json": list(image(["l"])), "c.json": config(diffId(layer)) }),
  ],
  [
    "a layer that is a link out of the archive",
    () => ({
      "manifest.json": list(image(["l"])),
      "c.json": config(diffId(layer)),
      l: { link: "../../etc/passwd" },
    }),
  ],
  [
    "a layer that is a hard link to itself",
    () => ({
      "manifest.json": list(image(["l"])),
      "c.json": config(diffId(layer)),
      l: { hardLink: "l" },
    }),
  ],
  [
    "layers that are links in a circle",
    () => ({
      "manifest.json": list(image(["l"])),
      "c.json": config(diffId(layer)),
      l: { link: "m" },
      m: { link: "l" },
    }),
  ],
])("%s is an error", async (_, files) => {
  await expect(open(await write(files() as Record<string, Content>))).rejects.toMatchObject({
    code: "BAD_IMAGE",
  });
});
