import { mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTarget, placeOf } from "../../../src/trust/target.ts";
import { writeBlob, writeImage } from "../../support/images.ts";
import { rootOf, tagRoot } from "../../support/layouts.ts";
import { TestRegistry } from "../../support/registry.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = realpathSync(temporaryFolder());
mkdirSync(join(folder, "elsewhere/image"), { recursive: true });
mkdirSync(join(folder, "scope"));
symlinkSync("../elsewhere", join(folder, "scope/link"));

test.each([
  ["scope/link/image", "elsewhere/image"],
  ["scope/link/image:1", "elsewhere/image"],
  ["scope/link/new", "elsewhere/new"],
  ["scope/new/deep", "scope/new/deep"],
  ["elsewhere/../scope/.", "scope"],
])("a policy sees oci:%s as %s", (path, real) => {
  expect(placeOf(`oci:${join(folder, "x")}/../${path}`)).toEqual({
    transport: "oci",
    path: join(folder, real),
  });
});

describe("an image of a registry", () => {
  const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
  const INDEX = "application/vnd.oci.image.index.v1+json";
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await TestRegistry.start();
  });
  afterAll(async () => await registry.stop());

  async function resolve(reference: string) {
    const target = await openTarget(
      `docker://${registry.host}/app:${reference}`,
      { environment: {} },
      new AbortController().signal,
    );
    try {
      return await target.resolve();
    } finally {
      await target.close();
    }
  }

  test.each([
    ["manifest", MANIFEST, { layers: [] }],
    ["index", INDEX, { manifests: [] }],
    ["manifest that names its type", MANIFEST, { mediaType: MANIFEST, layers: [] }],
  ])("is resolved if it is a plain %s", async (_what, mediaType, document) => {
    const digest = registry.addManifest("app", "right", document, mediaType);
    expect(await resolve("right")).toMatchObject({ digest });
  });

  test.each([
    ["both a manifest and an index", MANIFEST, { layers: [], manifests: [] }],
    ["an index with layers", INDEX, { layers: [] }],
    ["a manifest with manifests", MANIFEST, { manifests: [] }],
    ["of a type that its headers do not state", MANIFEST, { mediaType: INDEX, layers: [] }],
  ])("is refused if it is %s", async (_what, mediaType, document) => {
    registry.addManifest("app", "wrong", document, mediaType);
    await expect(resolve("wrong")).rejects.toThrow(/is ambiguous/);
  });

  test("that does not exist is not found", async () => {
    await expect(resolve("missing")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("an image of a layout", () => {
  const layout = join(folder, "layout");

  async function resolve(reference: string) {
    const target = await openTarget(reference, { environment: {} }, new AbortController().signal);
    try {
      return { place: target.place, image: await target.resolve() };
    } finally {
      await target.close();
    }
  }

  test("is found by its tag, and has no name", async () => {
    writeImage(layout, "v1", []);
    const { digest } = rootOf(layout);
    expect(await resolve(`oci:${layout}:v1`)).toEqual({
      place: { transport: "oci", path: layout },
      image: { digest, name: undefined },
    });
    await expect(resolve(`oci:${layout}:v2`)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(resolve(`oci:${folder}/none:v1`)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("is refused if it is ambiguous", async () => {
    const bytes = Buffer.from('{"layers":[],"manifests":[]}');
    const entry = writeBlob(layout, "application/vnd.oci.image.manifest.v1+json", bytes);
    tagRoot(layout, entry, "v3");
    await expect(resolve(`oci:${layout}:v3`)).rejects.toThrow(/is ambiguous/);
  });
});
