import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import type { Descriptor } from "../../../../src/spec/descriptor.ts";
import { parseTagged } from "../../../../src/transport/file-reference.ts";
import { readSigningKey } from "../../../../src/trust/sign/cosign-key.ts";
import { LayoutSignatures } from "../../../../src/trust/sign/layout-store.ts";
import { signImage } from "../../../../src/trust/sign/sign-image.ts";
import { blobPath, layersOf, sha256, tar, writeBlob, writeImage } from "../../../support/images.ts";
import { putPlatforms } from "../../../support/layouts.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { newSigner } from "../../../support/trust.ts";

const NAME = "registry.example.com/app:v1";
const REF_NAME = "org.opencontainers.image.ref.name";
const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const [ann, bob] = [newKey(), newKey()];
let folder: string;

function newKey() {
  const { privateKey } = newSigner();
  return readSigningKey(
    Buffer.from(privateKey.export({ format: "pem", type: "pkcs8" }) as string),
    undefined,
    "cosign.key",
  );
}

beforeEach(async () => {
  folder = join(temporaryFolder(), "layout");
  writeImage(folder, "v1", [{ tar: await tar({ hello: Buffer.from("hello") }), compression: "gzip" }]);
});

const store = () => new LayoutSignatures(parseTagged("oci", `${folder}:v1`));
const sign = (request: Partial<Parameters<typeof signImage>[1]> = {}) =>
  signImage(store(), { name: NAME, key: ann, annotations: {}, isRecursive: false, ...request });
const imageDigest = async () => (await store().image()).digest;
const tagOf = async (ending: string) => `${(await imageDigest()).replace(":", "-")}${ending}`;
const index = () => JSON.parse(readFileSync(join(folder, "index.json"), "utf8"));
/** Everything in the layout that a signature could change. */
const state = () => [index(), readdirSync(join(folder, "blobs/sha256")).sort()];

async function counts(): Promise<{ simple: number; bundles: number }> {
  const bundles = JSON.parse(Buffer.from((await store().tagged(await tagOf(""))) ?? "{}").toString());
  return { simple: layersOf(folder, await tagOf(".sig")).length, bundles: bundles.manifests.length };
}

/** Tags a document that another tool could have written. */
function putTagged(tag: string, mediaType: string, document: object): void {
  const entry = writeBlob(folder, mediaType, Buffer.from(JSON.stringify(document)));
  const known = index();
  const annotations = { [REF_NAME]: tag };
  known.manifests.push({ ...entry, annotations });
  writeFileSync(join(folder, "index.json"), JSON.stringify(known));
}

test("an image gets one signature of each form, and from each key", async () => {
  const digest = await imageDigest();
  expect(await sign()).toEqual({
    ...{ digest, name: NAME, key: ann.publicKey.fingerprint },
    signed: [{ digest, added: ["simple", "bundle"] }],
  });
  expect(await counts()).toEqual({ simple: 1, bundles: 1 });
  expect((await sign()).signed).toEqual([{ digest, added: [] }]);
  expect((await sign({ key: bob })).signed).toEqual([{ digest, added: ["simple", "bundle"] }]);
  expect(await counts()).toEqual({ simple: 2, bundles: 2 });
  expect(await imageDigest()).toBe(digest);
});

test("a signature for another name or with other annotations is another signature", async () => {
  await sign();
  const both = ["simple", "bundle"];
  expect((await sign({ name: `${NAME}-rc` })).signed[0]?.added).toEqual(both);
  expect((await sign({ annotations: { stage: "test" } })).signed[0]?.added).toEqual(both);
});

test("an image that was replaced meanwhile is not signed", async () => {
  const before = state();
  await expect(sign({ digest: sha256(Buffer.from("another")) })).rejects.toMatchObject({
    code: "DIGEST_MISMATCH",
  });
  expect(state()).toEqual(before);
});

test("an image that is missing or damaged is not signed", async () => {
  const before = state();
  const path = blobPath(folder, await imageDigest());
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(1));
  await expect(sign()).rejects.toMatchObject({ code: "SIZE_MISMATCH" });
  writeFileSync(path, bytes.fill(0x20, 1, 2));
  await expect(sign()).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  rmSync(path);
  await expect(sign()).rejects.toMatchObject({ code: "NOT_FOUND" });
  expect(index()).toEqual(before[0]);
});

test("the images of an index are signed only with isRecursive", async () => {
  const bytes = await tar({ hello: Buffer.from("hello") });
  folder = join(temporaryFolder(), "platforms");
  putPlatforms(folder, [{ bytes, compression: "none", diffId: sha256(bytes) }]);
  const root = await imageDigest();
  const children = JSON.parse(readFileSync(blobPath(folder, root), "utf8")).manifests as { digest: string }[];
  expect((await sign()).signed.map(({ digest }) => digest)).toEqual([root]);
  const { signed } = await sign({ isRecursive: true });
  expect(signed).toEqual([
    { digest: root, added: [] },
    ...children.map(({ digest }) => ({ digest, added: ["simple", "bundle"] })),
  ]);
});

test("another tool's signatures stay, and its damaged ones stop nothing", async () => {
  const bundle = { schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", layers: [] };
  const foreign = writeBlob(folder, bundle.mediaType, Buffer.from(JSON.stringify(bundle)));
  const missing = { ...foreign, digest: sha256(Buffer.from("missing")) };
  putTagged(await tagOf(""), OCI_INDEX, {
    ...{ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [foreign, missing] },
    annotations: { kept: "yes" },
  });
  await sign();
  const listed = JSON.parse(Buffer.from((await store().tagged(await tagOf(""))) ?? "").toString());
  expect(listed.annotations).toEqual({ kept: "yes" });
  expect(listed.manifests.slice(0, 2)).toEqual([foreign, missing]);
  expect(listed.manifests).toHaveLength(3);
});

test.each([
  ["that is not a list", { layers: "all" }, "BAD_IMAGE", /is not what signatures can be added to/],
  [
    "of things that are no descriptors",
    { layers: [1] },
    "BAD_IMAGE",
    /is not what signatures can be added to/,
  ],
  ["of objects that are no descriptors", { layers: [{}] }, "BAD_IMAGE", /is not what signatures/],
  ["of digests that are no text", { layers: [{ digest: 1 }] }, "BAD_IMAGE", /is not what signatures/],
  ["of 64 signatures", { layers: layersWith(64) }, "LIMIT", /has 64 signatures, which is the most/],
])("a tag %s is left as it is", async (_what, document, code, message) => {
  putTagged(await tagOf(".sig"), "application/vnd.oci.image.manifest.v1+json", document);
  const before = state();
  await expect(sign()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expect(state()).toEqual(before);
});

test("63 signatures leave room for one", async () => {
  putTagged(await tagOf(".sig"), "application/vnd.oci.image.manifest.v1+json", { layers: layersWith(63) });
  expect((await sign()).signed[0]?.added).toContain("simple");
});

test("63 referrers leave room for one, and 64 do not", async () => {
  const manifests = (count: number) =>
    layersWith(count).map((it) => ({ ...it, mediaType: "application/vnd.oci.image.manifest.v1+json" }));
  putTagged(await tagOf(""), OCI_INDEX, { manifests: manifests(63) });
  expect((await sign()).signed[0]?.added).toContain("bundle");
  const before = state();
  await expect(sign({ key: bob })).rejects.toMatchObject({
    code: "LIMIT",
    message: expect.stringMatching(/has 64 referrers, which is the most/),
  });
  expect(state()).toEqual(before);
});

test("a list of more than 64 is not searched for the key's own signature", async () => {
  await sign();
  const [simple, bundle] = [await tagOf(".sig"), await tagOf("")];
  const { manifests } = JSON.parse(Buffer.from((await store().tagged(bundle)) ?? "").toString());
  const layers = [...layersWith(63), ...layersOf(folder, simple)];
  const retag = (tag: string, document: object) => {
    const known = index().manifests.filter((it: Descriptor) => it.annotations?.[REF_NAME] !== tag);
    writeFileSync(join(folder, "index.json"), JSON.stringify({ ...index(), manifests: known }));
    putTagged(tag, OCI_INDEX, document);
  };
  retag(simple, { layers });
  retag(bundle, { manifests: [...layersWith(63), ...manifests] });
  expect((await sign()).signed[0]?.added).toEqual([]);
  retag(bundle, { manifests: [...layersWith(64), ...manifests] });
  await expect(sign()).rejects.toMatchObject({ message: expect.stringMatching(/has 65 referrers/) });
  retag(simple, { layers: [...layersWith(1), ...layers] });
  await expect(sign()).rejects.toMatchObject({ message: expect.stringMatching(/has 65 signatures/) });
});

test("1,024 images of an index are signed, and no more", async () => {
  const entries = (count: number) => layersWith(count).map((it) => ({ ...it, digest: "sha1:1" }));
  const failed = async (count: number) => {
    const index = Buffer.from(JSON.stringify({ manifests: entries(count) }));
    const large = Object.assign(store(), { manifest: async () => index });
    const request = { name: NAME, key: ann, annotations: {}, isRecursive: true };
    return await signImage(large, request).catch(({ message }) => message);
  };
  expect(await failed(1024)).toMatch(/signatures are for sha256 digests, not for sha1:1$/);
  expect(await failed(1025)).toMatch(/^index sha256:\w+ has 1025 manifests; it may have at most 1024$/);
});

test("a referrer that the registry lists twice counts once", async () => {
  const listed = layersWith(33).map((it) => ({
    ...it,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
  }));
  putTagged(await tagOf(""), OCI_INDEX, { manifests: listed });
  const registry = Object.assign(store(), { referrers: async () => listed });
  const request = { name: NAME, key: ann, annotations: {}, isRecursive: false };
  expect((await signImage(registry, request)).signed[0]?.added).toContain("bundle");
});

test("an annotation that containers/image would refuse is refused", async () => {
  const before = state();
  await expect(sign({ annotations: { timestamp: "1700000000" } })).rejects.toMatchObject({ code: "USAGE" });
  expect(state()).toEqual(before);
  expect((await sign({ annotations: { creator: "ann" } })).signed[0]?.added).toEqual(["simple", "bundle"]);
});

function layersWith(count: number) {
  return Array.from({ length: count }, (_, i) => ({
    ...{ mediaType: "application/vnd.dev.cosign.simplesigning.v1+json", size: 1 },
    digest: sha256(Buffer.from(String(i))),
  }));
}
