import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { SILENT } from "../../../src/image/progress.ts";
import { EVERYTHING } from "../../../src/image/select.ts";
import { verifyImage } from "../../../src/image/verify.ts";
import { parseSource } from "../../../src/transport/reference.ts";
import { blobPath } from "../../support/images.ts";
import { forge, keySet, layer, manifest, SETTINGS, Workbench } from "./setup.ts";

const bench = new Workbench();

describe("verify", () => {
  const verify = async (path: string, which = bench.a) =>
    await verifyImage({
      source: parseSource(`oci:${path}`),
      keys: await keySet(which),
      settings: SETTINGS,
      selection: EVERYTHING,
      running: { progress: SILENT },
    });
  const codes = async (path: string, which = bench.a) =>
    (await verify(path, which)).failures.map(({ position, code }) => [position, code]);

  test("finds nothing wrong with a good image", async () => {
    const source = await bench.encrypted(bench.image([await layer("x"), await layer("y", "none")]));
    const { layers, failures, bytes } = await verify(source);
    expect([layers.length, failures]).toEqual([2, []]);
    expect(bytes).toBe(manifest(source).layers[0].size + manifest(source).layers[1].size);
  });

  test("names each layer that is bad, and goes on", async () => {
    const source = await bench.encrypted(bench.image([await layer("x"), await layer("y"), await layer("z")]));
    forge(source);
    const { digest } = manifest(source).layers[1];
    writeFileSync(blobPath(source, digest), Buffer.alloc(readFileSync(blobPath(source, digest)).length));
    expect(await codes(source)).toEqual([
      [0, "AUTHENTICATION"],
      [1, "DIGEST_MISMATCH"],
    ]);
    expect(await codes(source, bench.b)).toEqual([
      [0, "NO_KEY"],
      [1, "NO_KEY"],
      [2, "NO_KEY"],
    ]);
  });

  test.each([
    ["no tar archive", Buffer.alloc(3000, "x"), "none"],
    ["a tar archive that is cut", Buffer.from("cut"), "none"],
    ["no gzip data", Buffer.alloc(3000, "x"), "gzip"],
    ["gzip data that is cut", Buffer.from("cut"), "gzip"],
  ] as const)("finds %s", async (_, content, compression) => {
    const good = await layer("some text", compression);
    const bytes = content.length === 3 ? good.bytes.subarray(0, good.bytes.length / 4 + 1) : content;
    const source = await bench.encrypted(bench.image([{ ...good, bytes }]));
    expect(await codes(source)).toEqual([[0, "BAD_IMAGE"]]);
  });

  test("finds a layer that is another than the configuration says", async () => {
    const wrong = { ...(await layer("x")), diffId: `sha256:${"0".repeat(64)}` };
    expect(await codes(await bench.encrypted(bench.image([wrong])))).toEqual([[0, "DIGEST_MISMATCH"]]);
  });
});
