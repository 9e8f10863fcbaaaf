import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { ours, output, skopeo, skopeoNew } from "../support/peers.ts";
import { setKey, tamper, writeSecret } from "./images.ts";
import { byCri, describeNode } from "./suite.ts";

describeNode("pulling through the CRI with a payload", { localPull: true }, (suite) => {
  beforeAll(async () => {
    await suite.encrypt(skopeo, "plain", "by-skopeo");
    await suite.encrypt(skopeoNew, "plain", "by-new-skopeo");
  });

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

  test("a wrong key is refused", async () => {
    setKey(suite.node, suite.wrongKey.privatePath("pkcs8.pem"));
    await suite.expectRefused("by-skopeo", byCri, /ctd-decoder: error: no key/);
  });

  test("no key is refused", async () => {
    setKey(suite.node);
    await suite.expectRefused("by-skopeo", byCri, /ctd-decoder: error: no key/);
  });

  test("a forged plain-tar layer with the right diff ID is refused", async () => {
    tamper(suite.layout, "plain", "by-skopeo", "forged");
    await suite.expectRefused("forged", byCri, /ctd-decoder: error: /);
  });
});

describeNode("streaming, with a payload", { localPull: true, args: ["--release=stream"] }, (suite) => {
  beforeAll(() => suite.encrypt(skopeo, "plain", "by-skopeo"));

  test("a wrong key is refused", async () => {
    setKey(suite.node, suite.wrongKey.privatePath("pkcs8.pem"));
    await suite.expectRefused("by-skopeo", byCri, /ctd-decoder: error: no key/);
  });

  test("a forged plain-tar layer with the right diff ID is refused, though it was written but for its tail", async () => {
    tamper(suite.layout, "plain", "by-skopeo", "forged");
    await suite.expectRefused("forged", byCri, /ctd-decoder: error: /);
  });
});
