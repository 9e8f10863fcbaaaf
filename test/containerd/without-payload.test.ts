import { randomBytes } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { layersOf, manifestOf, tar, writeImage, writeManifest } from "../support/images.ts";
import { skopeo } from "../support/peers.ts";
import { encryptAs, forRecipient } from "./forge.ts";
import { setKey, tamper } from "./images.ts";
import { byCri, byCtr, describeNode, type NodeSuite, type Pull, release } from "./suite.ts";

describeNode("pulling with stock ctr, which passes no payload", { processors: "zstd apart" }, (suite) => {
  pullsWithoutPayload(suite, byCtr);
});

if (release.version.startsWith("2.")) {
  describeNode(
    "pulling by the transfer service, which passes no payload",
    { processors: "zstd apart" },
    (suite) => {
      pullsWithoutPayload(suite, byCri);
    },
  );
} else {
  describeNode(
    "zstd layers with a processor of their own, which gets no payload",
    { processors: "zstd apart" },
    (suite) => {
      test("an image of gzip, plain and zstd layers runs, each layer decoded once", async () => {
        await suite.encrypt(skopeo, "plain", "encrypted");
        await suite.expectPullsAndRuns("encrypted", byCri);
      });
    },
  );
}

describeNode(
  "streaming, without a payload",
  { processors: "zstd apart", args: ["--release=stream"] },
  (suite) => {
    beforeAll(() => suite.encrypt(skopeo, "plain", "encrypted"));

    test("a wrong key is refused", async () => {
      setKey(suite.node, suite.wrongKey.privatePath("pkcs8.pem"));
      await suite.expectRefused("encrypted", byCtr, /ctd-decoder: error: no key/);
    });

    test("a forged plain-tar layer with the right diff ID is refused", async () => {
      tamper(suite.layout, "plain", "encrypted", "forged");
      await suite.expectRefused("forged", byCtr, /ctd-decoder: error: /);
    });
  },
);

describeNode("told not to look into the content store", { args: ["--no-content-store"] }, (suite) => {
  test("says what containerd did not pass", async () => {
    await suite.encrypt(skopeo, "plain", "encrypted");
    await suite.expectRefused("encrypted", byCtr, /ctd-decoder: error: .*payload/);
  });
});

function pullsWithoutPayload(suite: NodeSuite, pull: Pull): void {
  beforeAll(() => suite.encrypt(skopeo, "plain", "encrypted"));

  test("an image of gzip, plain and zstd layers runs, each layer decoded once", async () => {
    await suite.expectPullsAndRuns("encrypted", pull);
  });

  test("a wrong key is refused", async () => {
    setKey(suite.node, suite.wrongKey.privatePath("pkcs8.pem"));
    await suite.expectRefused("encrypted", pull, /ctd-decoder: error: no key/);
  });

  test("a forged plain-tar layer with the right diff ID is refused", async () => {
    tamper(suite.layout, "plain", "encrypted", "forged");
    await suite.expectRefused("forged", pull, /ctd-decoder: error: /);
  });

  test("images pulled at once get each the layers of their own", async () => {
    const tags = ["first", "second", "third", "fourth"];
    for (const tag of tags) {
      const file = randomBytes(4_000_000);
      writeImage(suite.layout, tag, [{ tar: await tar({ [tag]: file }), compression: "none" }]);
      await suite.encrypt(skopeo, tag, `${tag}-encrypted`);
    }
    const references: string[] = [];
    for (const tag of tags) references.push(await suite.push(`${tag}-encrypted`));
    expect(await Promise.all(references.map((reference) => pull(suite.node, reference)))).toEqual(
      tags.map(() => null),
    );
    // containerd compares each layer with its diff ID: another's would not have been taken.
    expect(suite.node.takeCalls()).toHaveLength(tags.length);
    expect(await suite.node.snapshots()).toHaveLength(tags.length);
  });

  test("layers that begin alike are told apart, pulled at once", async () => {
    await writeTwins(suite);
    const references = [await suite.push("twin-a"), await suite.push("twin-b")];
    for (let round = 0; round < 3; round++) {
      await suite.node.clear();
      const outcomes = await Promise.all(references.map((reference) => pull(suite.node, reference)));
      expect(outcomes).toEqual([null, null]);
    }
  });

  test("a key for another manifest that names the same layers opens them", async () => {
    await suite.encrypt(skopeo, "plain", "both", [suite.rightKey, suite.wrongKey]);
    writeForRecipient(suite, "both", "for-right", 0);
    writeForRecipient(suite, "both", "for-other", 1);
    const [other, right] = [await suite.push("for-other"), await suite.push("for-right")];
    const fetched = await suite.node.ctr("content", "fetch", "--plain-http", right);
    expect(fetched).toMatchObject({ exit: 0 });
    expect(await pull(suite.node, other)).toBeNull();
    expect(await suite.node.runImage(other)).toBe(suite.listing);
  });
}

/** A copy of an image for several recipients whose packets have only that one's key. */
function writeForRecipient(suite: NodeSuite, tag: string, newTag: string, index: number): void {
  const { config, layers } = manifestOf(suite.layout, tag);
  const one = layers.map((layer) => forRecipient(layer, index));
  writeManifest(suite.layout, newTag, { config, layers: one });
}

/** "twin-a" and "twin-b": one-layer images with the same key, nonce and ciphertext up to their last file. */
async function writeTwins(suite: NodeSuite): Promise<void> {
  const { layout } = suite;
  const same = randomBytes(1_000_000);
  const tars = await Promise.all(["a", "b"].map((name) => tar({ same, different: Buffer.from(name) })));
  const [tarA, tarB] = tars;
  if (!tarA || !tarB) throw new Error("no tars");
  writeImage(layout, "twin-a-plain", [{ tar: tarA, compression: "none" }]);
  writeImage(layout, "twin-b-plain", [{ tar: tarB, compression: "none" }]);
  await suite.encrypt(skopeo, "twin-a-plain", "twin-a");
  const [layerA] = layersOf(layout, "twin-a");
  if (!layerA) throw new Error("no layer");
  const layerB = encryptAs(layout, layerA, suite.rightKey.privateKey, tarB);
  writeManifest(layout, "twin-b", { config: manifestOf(layout, "twin-b-plain").config, layers: [layerB] });
}
