import { rmSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { inspectImage } from "../../../src/image/inspect.ts";
import { SILENT } from "../../../src/image/progress.ts";
import { rewrapImage } from "../../../src/image/rewrap.ts";
import { EVERYTHING } from "../../../src/image/select.ts";
import { verifyImage } from "../../../src/image/verify.ts";
import { parseDestination, parseSource } from "../../../src/transport/reference.ts";
import { blobPath } from "../../support/images.ts";
import { putIndex, putManifest, readDocument, rootOf, tagRoot } from "../../support/layouts.ts";
import { decrypt, keySet, layer, SETTINGS, Workbench } from "./setup.ts";

/** `ctr images export` and `docker save` write the whole index, but the blobs of the local platform only. */
const bench = new Workbench();
const AMD64 = { os: "linux", architecture: "amd64" };
const ARM64 = { os: "linux", architecture: "arm64" };
const running = { progress: SILENT, threads: 1 };
const selections = [
  ["all platforms", EVERYTHING],
  ["the platform that is there", { ...EVERYTHING, platforms: ["linux/amd64"] }],
] as const;

/** An image for amd64 and arm64. */
async function twoPlatforms(): Promise<string> {
  const path = bench.fresh();
  const amd64 = putManifest(path, [await layer("for amd64")], { platform: AMD64 });
  const arm64 = putManifest(path, [await layer("for arm64")], { platform: ARM64 });
  tagRoot(path, putIndex(path, [arm64, amd64]));
  return path;
}

/** Removes what belongs to arm64; its manifest too, or only what that names. */
function makeSparse(path: string, withManifest = true): string {
  const entry = readDocument(path, rootOf(path)).manifests.find(
    (it: { platform: { architecture: string } }) => it.platform.architecture === "arm64",
  );
  const { config, layers } = readDocument(path, entry);
  for (const { digest } of [config, ...layers]) rmSync(blobPath(path, digest));
  if (withManifest) rmSync(blobPath(path, entry.digest));
  return entry.digest;
}

const platformsOf = (path: string) =>
  readDocument(path, rootOf(path)).manifests.map(
    (it: { platform: { architecture: string } }) => it.platform.architecture,
  );

describe.each(selections)("of a sparse image, %s", (_, selection) => {
  test("is encrypted, rewrapped, verified and decrypted, and the rest left out", async () => {
    const source = await twoPlatforms();
    const digest = makeSparse(source);
    const encrypted = await bench.encrypted(source, { selection });
    expect(platformsOf(encrypted)).toEqual(["amd64"]);

    const whole = await bench.encrypted(await twoPlatforms());
    const missing = makeSparse(whole);
    const options = { source: parseSource(`oci:${whole}`), running, settings: SETTINGS, selection };
    const verified = await verifyImage({ ...options, keys: await keySet(bench.a) });
    expect(verified).toMatchObject({
      layers: [{ platform: "linux/amd64" }],
      failures: [],
      absent: [{ digest: missing, platform: "linux/arm64" }],
    });
    const path = bench.fresh();
    const into = { destination: parseDestination(`oci:${path}:v1`), replace: false };
    const keys = await keySet(bench.a);
    const rewrapped = await rewrapImage({
      ...options,
      into,
      keys,
      recipients: { added: [bench.b.recipient], removed: [], isOnly: true },
    });
    expect(rewrapped.absent).toEqual([{ digest: missing, platform: "linux/arm64" }]);
    const decrypted = bench.fresh();
    const result = await decrypt(`oci:${path}`, `oci:${decrypted}:v1`, bench.b, selection);
    expect([result.absent, platformsOf(decrypted)]).toEqual([[], ["amd64"]]);
    expect(digest).not.toBe(missing);
  });
});

test("a platform of which only the manifest is there is absent as well", async () => {
  const source = await twoPlatforms();
  makeSparse(source, false);
  expect(platformsOf(await bench.encrypted(source))).toEqual(["amd64"]);
});

test("a platform of which something is missing is damaged", async () => {
  const source = await twoPlatforms();
  const [arm64] = readDocument(source, rootOf(source)).manifests;
  rmSync(blobPath(source, readDocument(source, arm64).layers[0].digest));
  await expect(bench.encrypted(source)).rejects.toMatchObject({ code: "NOT_FOUND" });
});

test("a platform that is absent can't be chosen", async () => {
  const source = await twoPlatforms();
  makeSparse(source);
  const selection = { ...EVERYTHING, platforms: ["linux/arm64"] };
  await expect(bench.encrypted(source, { selection })).rejects.toMatchObject({
    code: "NOT_FOUND",
    message: expect.stringContaining("linux/arm64"),
  });
});

test("inspect lists what is absent", async () => {
  const source = await twoPlatforms();
  const digest = makeSparse(source);
  const info = await inspectImage({
    source: parseSource(`oci:${source}`),
    platforms: [],
    settings: SETTINGS,
  });
  expect(info.platforms.map(({ platform }) => platform)).toEqual(["linux/amd64"]);
  expect(info.others).toMatchObject([{ digest, platform: "linux/arm64", absent: true }]);
});
