import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type KeyPairFiles, rsaKeys } from "../support/cli.ts";
import { type Layer, layersOf, tar, writeImage } from "../support/images.ts";
import { describeWith, ours, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

describeWith([ours], "ctd-decoder encrypt --base", {}, () => {
  const folder = temporaryFolder();
  const layout = join(folder, "layout");
  let keys: KeyPairFiles;
  beforeAll(async () => {
    keys = await rsaKeys(join(folder, "keys"), "node");
    const layer = async (name: string): Promise<Layer> => ({
      tar: await tar({ [name]: Buffer.from(name) }),
      compression: "gzip",
    });
    const [lower, upper, own] = await Promise.all(["lower", "upper", "own"].map(layer));
    if (lower === undefined || upper === undefined || own === undefined) throw new Error("no layers");
    writeImage(layout, "base", [lower, { ...upper, compression: "none" }]);
    writeImage(layout, "app", [lower, upper, own]);
    writeImage(layout, "other", [upper, own]);
  });

  const encrypt = (...args: string[]) =>
    run(ours, ["encrypt", "-q", "--recipient", `jwe:${keys.publicKey}`, ...args]);

  test("leaves the layers of the base plain, however they are compressed", async () => {
    const done = await encrypt("--base", `oci:${layout}:base`, `oci:${layout}:app`, `oci:${layout}:enc`);
    expect(done.exit, done.stderr).toBe(0);
    const types = layersOf(layout, "enc").map(({ mediaType }) => mediaType.endsWith("+encrypted"));
    expect(types).toEqual([false, false, true]);
  });

  test.each<[string, string, string[], number, RegExp]>([
    [
      "an image on another base",
      "other",
      [],
      1,
      /is not built on the base image: its first layers are others/,
    ],
    ["the base itself", "base", [], 1, /the image has no layer to encrypt/],
    [
      "chosen layers as well",
      "app",
      ["--layer", "0"],
      2,
      /--base, --layer and --except-base exclude each other/,
    ],
  ])("refuses %s", async (_what, tag, more, code, message) => {
    const done = await encrypt(
      "--base",
      `oci:${layout}:base`,
      ...more,
      `oci:${layout}:${tag}`,
      `oci:${layout}:none`,
    );
    expect(done).toMatchObject({ exit: code, stderr: expect.stringMatching(message) });
  });
});
