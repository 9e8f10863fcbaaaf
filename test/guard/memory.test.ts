import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type LayerFiles, writeKeys, writeLayer } from "../../scripts/bench/inputs.ts";
import { peakMemory } from "../../scripts/bench/memory.ts";
import { rsaKeys, succeed } from "../support/cli.ts";
import { layersOf } from "../support/images.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const MIB = 1024 * 1024;
const PEAK_MIB = 96;
/** If each chunk of the larger layer left garbage, memory would grow by more. */
const GROWTH_MIB = 6;

describeWith([ours], "a large layer's memory", {}, () => {
  const folder = temporaryFolder();
  const keysPath = join(folder, "private");
  let [small, large]: (LayerFiles | undefined)[] = [];

  beforeAll(async () => {
    const { recipients } = await writeKeys(folder, "rsa");
    small = await writeLayer(join(folder, "small"), 96 * MIB, recipients);
    large = await writeLayer(join(folder, "large"), 512 * MIB, recipients);
  });

  test.each(["verified", "stream"])("stays below a limit and doesn't grow, released %s", async (release) => {
    const decoder = [ours.command, "--decryption-keys-path", keysPath, "--release", release] as const;
    const peakOf = (layer: LayerFiles | undefined) => peakMemory(decoder, layer as LayerFiles);
    const [first, second] = [await peakOf(small), await peakOf(large)];
    expect(second).toBeLessThan(PEAK_MIB);
    expect(second - first).toBeLessThan(GROWTH_MIB);
  });

  test("doesn't grow with the layer if that is read from an image", async () => {
    const keys = await rsaKeys(folder, "ann");
    const peakOf = async (size: number) => {
      const [files, image] = [join(folder, `files-${size}`), join(folder, `image-${size}`)];
      mkdirSync(files);
      writeFileSync(join(files, "data"), "");
      truncateSync(join(files, "data"), size);
      const to = ["--compression", "none", `rootfs:${files}`, `oci:${image}:v1`];
      await succeed(["encrypt", "-q", "--recipient", `jwe:${keys.publicKey}`, ...to]);
      const layer = ["layer", "--key", keys.privateKey, `oci:${image}:v1`];
      const bytes = layersOf(image, "v1")[0]?.size ?? 0;
      return await peakMemory([ours.command, ...layer], { path: "/dev/null", payload: "/dev/null", bytes });
    };
    const [first, second] = [await peakOf(96 * MIB), await peakOf(512 * MIB)];
    // Each chunk of the larger layer, if it stayed, would add to this.
    expect(second - first).toBeLessThan(200);
  });
});
