import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { parsePayload } from "../../src/containerd/payload.ts";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { OCI_CONFIG } from "../../src/spec/media-types.ts";
import { sha256, writeBlob, writeManifest } from "../support/images.ts";
import { describeWith, ours, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { readVector, type Vector } from "./format.ts";
import { KEYS } from "./material.ts";
import { secretTexts } from "./secrets.ts";

const VECTORS = join(import.meta.dirname, "data/vectors");
/** Of those that an image can hold, one in so many. */
const ONE_IN = 8;

/** The layer's descriptor, where it fits the layer. */
function descriptorOf({ payload, layer }: Vector): Descriptor | undefined {
  try {
    const { descriptor } = parsePayload(new Uint8Array(payload ?? []));
    const { mediaType, annotations } = descriptor;
    if (descriptor.digest !== sha256(layer) || descriptor.size !== layer.length) return undefined;
    return { mediaType, digest: descriptor.digest, size: layer.length, annotations };
  } catch {
    return undefined;
  }
}

describeWith([ours], "vectors as layers of images", {}, () => {
  const folder = temporaryFolder();
  const vectors = readdirSync(VECTORS)
    .map((name) => [name, readVector(readFileSync(join(VECTORS, name)))] as const)
    .filter(([, vector]) => descriptorOf(vector) !== undefined)
    .filter((_, i) => i % ONE_IN === 0);
  let accepted = 0;

  beforeAll(() => expect(vectors.length).toBeGreaterThan(20));

  test.each(vectors)("%s: inspect and verify show no secret with --json", async (name, vector) => {
    const home = mkdtempSync(join(folder, "image-"));
    const layout = join(home, "layout");
    const descriptor = descriptorOf(vector);
    if (descriptor === undefined) throw new Error("bug: it was filtered");
    writeBlob(layout, descriptor.mediaType, vector.layer);
    const config = {
      os: "linux",
      architecture: "amd64",
      rootfs: { type: "layers", diff_ids: [descriptor.digest] },
    };
    writeManifest(layout, "v1", {
      config: writeBlob(layout, OCI_CONFIG, Buffer.from(JSON.stringify(config))),
      layers: [descriptor],
    });
    const keys = join(home, "keys");
    mkdirSync(keys);
    for (const [path, from] of vector.keys) {
      mkdirSync(dirname(join(keys, path)), { recursive: true });
      writeFileSync(join(keys, path), typeof from === "string" ? readFileSync(join(KEYS, from)) : from);
    }
    for (const command of ["inspect", "verify"]) {
      const { exit, stdout, stderr } = await run(ours, [
        command,
        "--json",
        "--keys",
        keys,
        `oci:${layout}:v1`,
      ]);
      expect([0, 1]).toContain(exit);
      if (command === "inspect" && exit === 0) accepted++;
      const shown = `${stdout}\n${stderr}`.toLowerCase();
      expect(shown).not.toContain("internal error");
      for (const [what, text] of secretTexts(name, vector)) {
        if (shown.includes(text.toLowerCase())) expect.fail(`${command} shows ${what}`);
      }
    }
  });

  test("most of them could be inspected", () => expect(accepted).toBeGreaterThan(vectors.length / 2));
});
