import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openContainerdImage } from "../../../src/node/containerd-image.ts";
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
  const image = await openContainerdImage(store.root, NAME);
  expect(image.root).toEqual({ mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: SIZE });
  expect(Buffer.from(await image.readManifest(image.root)).toString()).toBe(manifest);
  await expect(openContainerdImage(store.root, "test:enc")).rejects.toMatchObject({ code: "NOT_FOUND" });
});

test("a folder that is no containerd's is told", async () => {
  await expect(openContainerdImage(folder, NAME)).rejects.toMatchObject({ code: "CONTENT_STORE" });
});
