import { rmSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import type { IndexEntry } from "../../src/spec/manifest.ts";
import type { Compression } from "../../src/spec/media-types.ts";
import { type KeyPairFiles, rsaKeys, succeed } from "../support/cli.ts";
import { diffId, tar } from "../support/images.ts";
import { type LayerContent, putIndex, putManifest, rootOf, snapshot, tagRoot } from "../support/layouts.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
let keys: KeyPairFiles;

beforeAll(async () => {
  keys = await rsaKeys(join(folder, "keys"), "node");
});

const SIZES = [0, 1, 15, 16, 17, 65_535, 65_536, 65_537, 3_000_000] as const;
const PACK: Readonly<Record<Compression, (bytes: Buffer) => Buffer>> = {
  none: (bytes) => bytes,
  gzip: (bytes) => gzipSync(bytes),
  zstd: (bytes) => zstdCompressSync(bytes),
};

interface LayerPlan {
  readonly size: number;
  readonly compression: Compression;
  readonly fill: number;
}
interface ManifestPlan {
  readonly layers: readonly LayerPlan[];
  readonly indent: number | undefined;
}
interface ImagePlan {
  readonly platforms: readonly ManifestPlan[];
  readonly shape: "manifest" | "index" | "nested";
  readonly place: "oci" | "oci-archive";
}

const layerPlan: fc.Arbitrary<LayerPlan> = fc.record({
  size: fc.constantFrom(...SIZES),
  compression: fc.constantFrom("none", "gzip", "zstd"),
  fill: fc.integer({ min: 0, max: 3 }),
});
const manifestPlan: fc.Arbitrary<ManifestPlan> = fc.record({
  layers: fc.array(layerPlan, { minLength: 1, maxLength: 3 }),
  indent: fc.constantFrom(undefined, 2, 3),
});
const imagePlan: fc.Arbitrary<ImagePlan> = fc.record({
  platforms: fc.array(manifestPlan, { minLength: 1, maxLength: 3 }),
  shape: fc.constantFrom("manifest", "index", "nested"),
  place: fc.constantFrom("oci", "oci-archive"),
});

const ARCHITECTURES = ["amd64", "arm64", "riscv64"];

async function build(
  path: string,
  plan: ImagePlan,
  content: (plan: LayerPlan) => Promise<LayerContent>,
): Promise<number> {
  const entries: IndexEntry[] = [];
  let layers = 0;
  const platforms = plan.shape === "manifest" ? plan.platforms.slice(0, 1) : plan.platforms;
  for (const [i, { layers: plans, indent }] of platforms.entries()) {
    const contents = await Promise.all(plans.map(content));
    layers += contents.length;
    const platform = { os: "linux", architecture: ARCHITECTURES[i] ?? "" };
    entries.push(putManifest(path, contents, { platform, ...(indent !== undefined && { indent }) }));
  }
  const [first = putIndex(path, []), ...others] = entries;
  if (plan.shape === "manifest") tagRoot(path, first);
  if (plan.shape === "index") tagRoot(path, putIndex(path, entries));
  if (plan.shape === "nested") tagRoot(path, putIndex(path, [putIndex(path, others), first]));
  return layers;
}

const tarLayer = async ({ size, compression, fill }: LayerPlan): Promise<LayerContent> => {
  const bytes = await tar({ file: Buffer.alloc(size, fill) });
  return { bytes: PACK[compression](bytes), compression, diffId: diffId(bytes) };
};
/** Bytes of exactly that size; they are not an archive. */
const rawLayer = async ({ size, fill }: LayerPlan): Promise<LayerContent> => {
  const bytes = Buffer.alloc(size, fill);
  return { bytes, compression: "none", diffId: diffId(bytes) };
};

let count = 0;

async function roundTrip(plan: ImagePlan, content: typeof tarLayer, isTar: boolean): Promise<void> {
  const work = join(folder, String(count++));
  const plain = join(work, "plain");
  const layers = await build(plain, plan, content);
  const encrypted = `${plan.place}:${join(work, "encrypted")}:x`;
  await succeed(["encrypt", "-q", "--recipient", `jwe:${keys.publicKey}`, `oci:${plain}:v1`, encrypted]);

  const shown = JSON.parse(await succeed(["inspect", "--json", encrypted]));
  const shownLayers = shown.platforms.flatMap((it: { layers: { encryption?: object }[] }) => it.layers);
  expect(shownLayers).toHaveLength(layers);
  expect(shownLayers.every((it: { encryption?: object }) => it.encryption !== undefined)).toBe(true);
  if (isTar)
    expect(await succeed(["verify", "--key", keys.privateKey, encrypted])).toContain(
      "complete and unchanged",
    );

  await succeed(["decrypt", "-q", "--key", keys.privateKey, encrypted, `oci:${work}/decrypted:v1`]);
  expect(rootOf(join(work, "decrypted"))).toEqual(rootOf(plain));
  expect(snapshot(join(work, "decrypted"))).toEqual(snapshot(plain));
  rmSync(work, { recursive: true });
}

describeWith(
  [ours],
  "an image is the same after it was encrypted, inspected, verified and decrypted:",
  {},
  () => {
    test("any image", async () => {
      await fc.assert(
        fc.asyncProperty(imagePlan, (plan) => roundTrip(plan, tarLayer, true)),
        { numRuns: 20 },
      );
    });

    test("layers of every size near a boundary", async () => {
      const layers = SIZES.map((size, fill) => ({ size, compression: "none" as const, fill }));
      await roundTrip(
        { platforms: [{ layers, indent: 2 }], shape: "manifest", place: "oci" },
        rawLayer,
        false,
      );
    });
  },
);
