import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { tar, writeImage } from "../support/images.ts";
import { ours, output, skopeo, skopeoNew } from "../support/peers.ts";
import { isCancelled } from "./cri.ts";
import { setKey, tamper, writeSecret } from "./images.ts";
import { byCri, describeNode } from "./suite.ts";

describeNode("pulling through the CRI with a payload", { localPull: true }, (suite) => {
  beforeAll(async () => {
    await suite.encrypt(skopeo, "plain", "by-skopeo");
    await suite.encrypt(skopeoNew, "plain", "by-new-skopeo");
  }, 60_000);

  test.each(["by-skopeo", "by-new-skopeo"])(
    "the image encrypted %s runs, each layer decoded once",
    async (tag) => {
      const forms = suite
        .mediaTypes(tag)
        .map((type) => type.replace("application/vnd.oci.image.layer.v1.tar", ""));
      expect(forms).toEqual(["+gzip+encrypted", "+encrypted", "+gzip+encrypted", "+zstd+encrypted"]);
      await suite.expectPullsAndRuns(tag, byCri);
    },
  );

  test("the image encrypted by our encrypt runs, each layer decoded once", async () => {
    const recipient = `jwe:${suite.rightKey.publicPath("spki.pem")}`;
    const [source, destination] = [`oci:${suite.layout}:plain`, `oci:${suite.layout}:by-ours`];
    await output(ours, ["encrypt", "--recipient", recipient, source, destination]);
    await suite.expectPullsAndRuns("by-ours", byCri);
  });

  test("keys come from a folder mounted as a Kubernetes Secret is", async () => {
    const keys = join(suite.node.folder, "keys");
    rmSync(keys, { recursive: true });
    mkdirSync(keys);
    writeSecret(keys, "tls.key", readFileSync(suite.rightKey.privatePath("pkcs8.pem")));
    await suite.expectPullsAndRuns("by-skopeo", byCri);
  });

  test("a wrong key is refused ten times of ten", async () => {
    setKey(suite.node, suite.wrongKey.privatePath("pkcs8.pem"));
    await suite.expectRefused("by-skopeo", byCri, /ctd-decoder: error: no key/);
  });

  test("no key is refused ten times of ten", async () => {
    setKey(suite.node);
    await suite.expectRefused("by-skopeo", byCri, /ctd-decoder: error: no key/);
  });

  test("a forged plain-tar layer with the right diff ID is refused ten times of ten", async () => {
    tamper(suite.layout, "plain", "by-skopeo", "forged");
    await suite.expectRefused("forged", byCri, /ctd-decoder: error: /);
  });

  test("a pull that is cancelled leaves no process and no spool file", async () => {
    const { node } = suite;
    const big = { "big.bin": randomBytes(128 * 1024 * 1024) };
    writeImage(suite.layout, "big", [{ tar: await tar(big), compression: "none" }]);
    await suite.encrypt(skopeo, "big", "big-encrypted");
    const reference = await suite.push("big-encrypted");

    const cancel = new AbortController();
    const pull = node.images.pull(reference, cancel.signal);
    const refused = expect(pull).rejects.toSatisfy(isCancelled);
    await expect.poll(() => node.decoders(), { timeout: 30_000, interval: 5 }).toHaveLength(1);
    cancel.abort();
    await refused;
    await expect.poll(() => node.decoders(), { timeout: 10_000 }).toEqual([]);
    expect(readdirSync(join(node.folder, "spool"))).toEqual([]);
    await expect.poll(() => node.snapshots(), { timeout: 10_000 }).toEqual([]);
  });
});
