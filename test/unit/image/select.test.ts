import { expect, test } from "vitest";
import { chooseLayers, EVERYTHING } from "../../../src/image/select.ts";
import type { ManifestNode, Node } from "../../../src/image/tree.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../../src/spec/media-types.ts";

const digest = (i: number) => `sha256:${String(i).padStart(64, "0")}`;
const descriptor = (i: number) => ({ mediaType: OCI_MANIFEST, digest: digest(i), size: 1 });
const style = { indent: "", tail: "", escapesHtml: false };

function manifest(
  platform: string | undefined,
  layers: number,
  role: ManifestNode["role"] = "image",
): ManifestNode {
  const [os = "", architecture = "", variant] = platform?.split("/") ?? [];
  return {
    kind: "manifest",
    descriptor: descriptor(layers),
    bytes: new Uint8Array(),
    document: {
      style,
      value: {
        schemaVersion: 2,
        config: descriptor(0),
        layers: Array.from({ length: layers }, (_, i) => descriptor(i)),
      },
    },
    role,
    platform: platform === undefined ? undefined : { os, architecture, ...(variant && { variant }) },
  };
}

function index(...children: Node[]): Node {
  return {
    kind: "index",
    descriptor: { ...descriptor(99), mediaType: OCI_INDEX },
    bytes: new Uint8Array(),
    document: { style, value: { schemaVersion: 2, manifests: [] } },
    children,
  };
}

const tree = index(
  manifest("linux/amd64", 3),
  index(manifest("linux/arm64", 2), manifest("linux/arm/v7", 1)),
  manifest(undefined, 4, "attachment"),
);
const chosen = (selection: Partial<typeof EVERYTHING>, from: Node = tree) =>
  chooseLayers(from, { ...EVERYTHING, ...selection }).map(({ node, position }) => {
    const { os, architecture, variant } = node.platform ?? {};
    return `${[os, architecture, variant].filter((it) => it).join("/")} ${position}`;
  });

test("all layers of all platforms, and none of an attestation", () => {
  expect(chosen({})).toEqual([
    "linux/amd64 0",
    "linux/amd64 1",
    "linux/amd64 2",
    "linux/arm64 0",
    "linux/arm64 1",
    "linux/arm/v7 0",
  ]);
});

test.each([
  [["linux/arm64"], ["linux/arm64 0", "linux/arm64 1"]],
  [["linux/arm64/v8"], ["linux/arm64 0", "linux/arm64 1"]],
  [["linux/arm", "LINUX/ARM/v7"], ["linux/arm/v7 0"]],
])("of platforms %j", (platforms, layers) => {
  expect(chosen({ platforms })).toEqual(layers);
});

test.each(["linux/arm64/v9", "linux/arm/v6", "windows/amd64", "linux", "unknown/unknown"])(
  "there is none for %s",
  (platform) => {
    expect(() => chosen({ platforms: [platform] })).toThrow(
      expect.objectContaining({ code: "NOT_FOUND", hint: expect.stringContaining("linux/arm/v7") }),
    );
  },
);

test("positions count from both ends, each once, in the image's order", () => {
  const image = manifest("linux/amd64", 4);
  expect(chosen({ layers: [-1, 0, 3, -4] }, image)).toEqual(["linux/amd64 0", "linux/amd64 3"]);
  expect(chosen({ exceptBase: 3 }, image)).toEqual(["linux/amd64 3"]);
  expect(chosen({ exceptBase: 4 }, image)).toEqual([]);
});

test.each([4, -5])("there is no layer %i of four", (layer) => {
  expect(() => chosen({ layers: [layer] }, manifest("linux/amd64", 4))).toThrow(
    expect.objectContaining({ code: "NOT_FOUND" }),
  );
});
