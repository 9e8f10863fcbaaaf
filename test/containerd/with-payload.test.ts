import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { copyImage, layersOf, tar, writeImage } from "../support/images.ts";
import { type KeyFiles, writeKeys } from "../support/keys.ts";
import { busybox, describeWith, ours, output, registry, root, skopeo, skopeoNew } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { isCancelled } from "./cri.ts";
import { push, setKey, tamper, writeSecret, writeTestImage } from "./images.ts";
import { Node } from "./node.ts";
import { testedRelease } from "./release.ts";

const release = testedRelease();
const needs = [root, busybox, registry, skopeo, skopeoNew, ours, ...release.needs];
const title = `containerd ${release.version}, pulling through the CRI with a payload`;

describeWith(needs, title, { timeout: 60_000 }, () => {
  const folder = temporaryFolder();
  const layout = join(folder, "layout");
  let node: Node;
  let rightKey: KeyFiles;
  let wrongKey: KeyFiles;
  let listing: string;

  beforeAll(async () => {
    rightKey = await writeKeys(join(folder, "right"), "RSA-2048");
    wrongKey = await writeKeys(join(folder, "wrong"), "RSA-2048");
    listing = await writeTestImage(layout, "plain");
    node = await Node.start(release, { localPull: true });
  }, 60_000);

  afterAll(() => node?.stop());

  beforeEach(async () => {
    await node.clear();
    setKey(node, rightKey.privatePath("pkcs8.pem"));
    node.takeCalls();
  });

  const recipient = () => `jwe:${rightKey.publicPath("spki.pem")}`;
  const encryptedTypes = (tag: string) => layersOf(layout, tag).map((layer) => layer.mediaType);

  async function expectPullsAndRuns(tag: string): Promise<void> {
    const reference = await push(node, skopeo, layout, tag);
    await node.images.pull(reference);
    expect(node.takeCalls()).toEqual(encryptedTypes(tag));
    expect((await node.runImage(reference)).stdout.toString()).toBe(listing);
    await node.images.remove(reference);
    expect(await node.snapshots()).toEqual([]);
  }

  for (const tool of [skopeo, skopeoNew]) {
    test(`an image encrypted by ${tool.name} is pulled, each layer decoded once, and runs`, async () => {
      const tag = tool === skopeo ? "by-skopeo" : "by-new-skopeo";
      await copyImage(tool, `oci:${layout}:plain`, `oci:${layout}:${tag}`, { recipients: [recipient()] });
      expect(encryptedTypes(tag).map((type) => type.replace(/.*v1\.tar/, ""))).toEqual([
        "+gzip+encrypted",
        "+encrypted",
        "+gzip+encrypted",
        "+zstd+encrypted",
      ]);
      await expectPullsAndRuns(tag);
    });
  }

  test("an image encrypted by our encrypt is pulled, each layer decoded once, and runs", async () => {
    await output(ours, [
      "encrypt",
      "--recipient",
      recipient(),
      `oci:${layout}:plain`,
      `oci:${layout}:by-ours`,
    ]);
    await expectPullsAndRuns("by-ours");
  });

  test("keys come from a folder mounted as a Kubernetes Secret is", async () => {
    const keys = join(node.folder, "keys");
    rmSync(keys, { recursive: true });
    mkdirSync(keys);
    writeSecret(keys, "tls.key", readFileSync(rightKey.privatePath("pkcs8.pem")));
    await expectPullsAndRuns("by-skopeo");
  });

  /** Ten refusals in a row; containerd reports its own error instead of the decoder's now and then. */
  async function expectRefused(tag: string, message: RegExp): Promise<void> {
    const reference = await push(node, skopeo, layout, tag);
    const errors: string[] = [];
    for (let attempt = 0; attempt < 10; attempt++) {
      const outcome = await node.images.pull(reference).catch((error: Error) => error.message);
      expect(outcome).toBeTypeOf("string");
      errors.push(outcome ?? "");
    }
    await node.collectGarbage();
    expect(await node.snapshots()).toEqual([]);
    expect(errors.filter((error) => message.test(error))).not.toEqual([]);
    expect(node.decoders()).toEqual([]);
  }

  test("a wrong key is refused ten times of ten", async () => {
    setKey(node, wrongKey.privatePath("pkcs8.pem"));
    await expectRefused("by-skopeo", /ctd-decoder: error: .*key/s);
  });

  test("no key is refused ten times of ten", async () => {
    setKey(node);
    await expectRefused("by-skopeo", /ctd-decoder: error: .*key/s);
  });

  test("a forged plain-tar layer with the right diff ID is refused ten times of ten", async () => {
    tamper(layout, "plain", "by-skopeo", "forged");
    await expectRefused("forged", /ctd-decoder: error: /);
  });

  test("a pull that is cancelled leaves no process and no spool file", async () => {
    const big = { "big.bin": randomBytes(128 * 1024 * 1024) };
    writeImage(layout, "big", [{ tar: await tar(big), compression: "none" }]);
    await copyImage(skopeo, `oci:${layout}:big`, `oci:${layout}:big-encrypted`, {
      recipients: [recipient()],
    });
    const reference = await push(node, skopeo, layout, "big-encrypted");

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
