import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { ours, output, skopeo } from "../support/peers.ts";
import { setKey } from "./images.ts";
import { describeNode } from "./suite.ts";

const NAME = "registry.example.test/app:1.0";

describeNode("importing archives", { processors: "printed" }, (suite) => {
  beforeAll(() => suite.encrypt(skopeo, "plain", "encrypted"));

  test.each([
    ["docker-archive", `:${NAME}`],
    ["oci-archive", `:${NAME}`],
  ])("a decrypted %s has its name, and runs", async (transport, name) => {
    setKey(suite.node);
    const archive = join(suite.node.folder, `${transport}.tar`);
    const key = suite.rightKey.privatePath("pkcs8.pem");
    const from = `oci:${suite.layout}:encrypted`;
    await output(ours, ["decrypt", "--key", key, from, `${transport}:${archive}${name}`]);
    const imported = await suite.node.ctr("images", "import", "--snapshotter", "native", archive);
    expect(imported).toMatchObject({ exit: 0, stdout: expect.anything() });
    const { stdout } = await suite.node.ctr("images", "list", "--quiet");
    expect(stdout.toString().split("\n")).toContain(NAME);
    expect(await suite.node.runImage(NAME)).toBe(suite.listing);
    expect(suite.node.takeCalls()).toEqual([]);
  });

  test("an encrypted oci-archive is decrypted when it is imported", async () => {
    const archive = join(suite.node.folder, "encrypted.tar");
    const recipient = `jwe:${suite.rightKey.publicPath("spki.pem")}`;
    const from = `oci:${suite.layout}:plain`;
    await output(ours, ["encrypt", "--recipient", recipient, from, `oci-archive:${archive}:${NAME}`]);
    const imported = await suite.node.ctr("images", "import", "--snapshotter", "native", archive);
    expect(imported, imported.stderr).toMatchObject({ exit: 0 });
    expect(await suite.node.runImage(NAME)).toBe(suite.listing);
    expect(suite.node.takeCalls()).toHaveLength(4);
  });
});
