import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tar, writeImage } from "../support/images.ts";
import { skopeo } from "../support/peers.ts";
import { isCancelled } from "./cri.ts";
import { byCri, byCtr, describeNode, type NodeSuite } from "./suite.ts";

const MiB = 1024 * 1024;

/** Pushes an encrypted image of one plain layer with so many random bytes in it. */
async function pushLayer(suite: NodeSuite, bytes: number): Promise<string> {
  const file = { "large.bin": randomBytes(bytes) };
  writeImage(suite.layout, "large", [{ tar: await tar(file), compression: "none" }]);
  await suite.encrypt(skopeo, "large", "large-encrypted");
  return await suite.push("large-encrypted");
}

async function expectCancelled(suite: NodeSuite): Promise<void> {
  const { node } = suite;
  const reference = await pushLayer(suite, 128 * MiB);
  const cancel = new AbortController();
  const pull = node.images.pull(reference, cancel.signal);
  const refused = expect(pull).rejects.toSatisfy(isCancelled);
  await expect.poll(() => node.decoders(), { timeout: 240_000, interval: 5 }).toHaveLength(1);
  cancel.abort();
  await refused;
  await expect.poll(() => node.decoders(), { timeout: 240_000 }).toEqual([]);
  expect(readdirSync(join(node.folder, "spool"))).toEqual([]);
  await expect.poll(() => node.snapshots(), { timeout: 240_000 }).toEqual([]);
}

describeNode(
  "pulling large layers that are read from its blobs",
  { localPull: true, args: ["--spool-dir=/nonexistent"] },
  (suite) => {
    test.each([
      ["by the CRI, with a payload", byCri],
      ["by ctr, without", byCtr],
    ])("%s, they are not copied", async (_how, pull) => {
      const reference = await pushLayer(suite, 8 * MiB);
      // containerd compares what comes out with the diff ID.
      expect(await pull(suite.node, reference)).toBeNull();
      expect(suite.node.takeCalls()).toHaveLength(1);
    });

    test("a pull that is cancelled leaves no process", async () => {
      await expectCancelled(suite);
    });
  },
);

describeNode(
  "pulling large layers that are copied",
  { localPull: true, args: ["--no-content-store"] },
  (suite) => {
    test("they arrive whole", async () => {
      expect(await byCri(suite.node, await pushLayer(suite, 8 * MiB))).toBeNull();
    });

    test("a pull that is cancelled leaves no process and no copy", async () => {
      await expectCancelled(suite);
    });
  },
);
