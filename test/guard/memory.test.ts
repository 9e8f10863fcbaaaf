import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type LayerFiles, writeKeys, writeLayer } from "../../scripts/bench/inputs.ts";
import { peakMemory } from "../../scripts/bench/memory.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const MIB = 1024 * 1024;
const LAYER_BYTES = 256 * MIB;
const PEAK_MIB = 96;

describeWith([ours], "a large layer's memory", { timeout: 60_000 }, () => {
  const folder = temporaryFolder();
  const keysPath = join(folder, "private");
  let layer: LayerFiles;

  beforeAll(async () => {
    const { recipients } = await writeKeys(folder, "rsa");
    layer = await writeLayer(folder, LAYER_BYTES, recipients);
  }, 60_000);

  test.each(["verified", "stream"])("stays below a limit, released %s", async (release) => {
    const args = ["--decryption-keys-path", keysPath, "--release", release];
    expect(await peakMemory([ours.command, ...args], layer)).toBeLessThan(PEAK_MIB);
  });
});
