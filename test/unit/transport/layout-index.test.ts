import { expect, test } from "vitest";
import { OCI_INDEX, OCI_MANIFEST } from "../../../src/spec/media-types.ts";
import { MemoryBlobs } from "../../../src/transport/blob.ts";
import { chooseImage, findImage } from "../../../src/transport/layout-index.ts";

const entry = (name?: string, fullName?: string) => ({
  mediaType: OCI_MANIFEST,
  digest: `sha256:${"0".repeat(64)}`,
  size: 1,
  annotations: {
    ...(name !== undefined && { "org.opencontainers.image.ref.name": name }),
    ...(fullName !== undefined && { "io.containerd.image.name": fullName }),
  },
});
const index = (...manifests: ReturnType<typeof entry>[]) => ({ schemaVersion: 2, manifests });
const [a, b, nameless] = [entry("a"), entry("b", "registry/x:b"), entry()];

test("a tag, or containerd's full name, chooses", () => {
  expect(chooseImage(index(a, b), "a", "it")).toBe(a);
  expect(chooseImage(index(a, b), "b", "it")).toBe(b);
  expect(chooseImage(index(a, b), "registry/x:b", "it")).toBe(b);
});

test("without a tag the only image is meant", () => {
  expect(chooseImage(index(a), undefined, "it")).toBe(a);
  expect(chooseImage(index(nameless), undefined, "it")).toBe(nameless);
});

test("signatures beside an image are no images, but have their tags", () => {
  const name = `sha256-${"0".repeat(64)}`;
  const attachments = [entry(name), entry(`${name}.sig`), entry(`${name}.att`)];
  const marked: object = { kind: "dev.cosignproject.cosign/sigs" };
  const saved = { ...nameless, annotations: marked };
  expect(chooseImage(index(...attachments, a, saved), undefined, "it")).toBe(a);
  expect(chooseImage(index(...attachments, a), `${name}.sig`, "it")).toBe(attachments[1]);
  expect(() => chooseImage(index(...attachments), undefined, "it")).toThrow(/holds no image/);
  // Only the whole tag is one of a signature.
  expect(() => chooseImage(index(a, entry(`${name}.sig.old`)), undefined, "it")).toThrow(/holds 2 images/);
});

test.each([
  ["no such tag", index(a, nameless), "c", "NOT_FOUND"],
  ["no image at all", index(), undefined, "NOT_FOUND"],
  ["several images and no tag", index(a, nameless), undefined, "USAGE"],
  ["a tag of two images", index(a, a), "a", "USAGE"],
])("%s", (_, images, tag, code) => {
  expect(() => chooseImage(images, tag, "it")).toThrow(expect.objectContaining({ code }));
});

test("a digest chooses an entry, or any other manifest of the layout, whatever the tag", async () => {
  const blobs = new MemoryBlobs("it");
  const nested = blobs.add(OCI_INDEX, Buffer.from('{"schemaVersion":2,"manifests":[]}'));
  const find = async (digest: string) => await findImage(index(a), { tag: "none", digest }, blobs, "it");
  expect(await find(a.digest)).toBe(a);
  expect(await find(nested.digest)).toEqual(nested);
  await expect(find(`sha256:${"1".repeat(64)}`)).rejects.toMatchObject({ code: "NOT_FOUND" });
});
