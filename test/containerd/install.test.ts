import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { snapshot } from "../support/node-root.ts";
import { ours, output, skopeo } from "../support/peers.ts";
import { newSigner } from "../support/trust.ts";
import { REGISTRY } from "./node.ts";
import { systemctl } from "./service.ts";
import { byCri, describeNode, type NodeSuite, release } from "./suite.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Prepares a node on which `install` finds containerd and its configuration by itself. */
function prepare(suite: NodeSuite): void {
  beforeAll(async () => {
    const { node } = suite;
    await suite.encrypt(skopeo, "plain", "encrypted");
    mkdirSync(join(node.folder, "bin"));
    writeFileSync(join(node.folder, "bin/systemctl"), systemctl(node.folder), { mode: 0o755 });
    // What is written outside the node's folder stays in its mount namespace.
    for (const folder of ["/var/lib", "/etc/containerd"]) {
      await node.execute("busybox", ["mkdir", "-p", folder]);
      await node.execute("busybox", ["mount", "-t", "tmpfs", "tmpfs", folder]);
    }
  });
}

/** Runs our executable in the node. */
async function call(
  { node }: NodeSuite,
  command: "install" | "uninstall",
  ...args: string[]
): Promise<string> {
  const program = join(node.folder, "ctd-decoder");
  const { exit, stdout, stderr } = await node.execute(
    program,
    [command, "--restart", ...args],
    `${node.folder}/bin:${PATH}`,
  );
  expect(exit, stderr).toBe(0);
  await node.answers();
  return stdout.toString();
}

describeNode("installed and uninstalled", { processors: "none", localPull: true }, (suite) => {
  prepare(suite);

  test("pulls work when it is installed, and fail as before when it is uninstalled", async () => {
    const { node } = suite;
    const reference = await suite.push("encrypted");
    const before = await byCri(node, reference);
    expect(before).toBeTypeOf("string");
    const files = () => {
      const config = Object.fromEntries(
        ["config.toml", "keys/key"].map((it) => [it, readFileSync(join(node.folder, it), "latin1")]),
      );
      return {
        config,
        imports: readdirSync(join(node.folder, "conf.d")),
        program: snapshot(join(node.folder, "bin")),
      };
    };
    const untouched = files();

    const program = join(node.folder, "bin/ctd-decoder");
    const said = await call(suite, "install", "--program", program, "--keys", join(node.folder, "keys"));
    expect(said).toContain(`wrote ${join(node.folder, "conf.d/ctd-decoder.toml")}\n`);
    expect(said).toContain("restarted containerd\n");
    expect(await byCri(node, reference)).toBeNull();
    expect(await node.runImage(reference)).toBe(suite.listing);
    expect(await call(suite, "install", "--program", program)).not.toMatch(/wrote|restarted/);

    await node.clear();
    expect(await call(suite, "uninstall")).toContain("restarted containerd\n");
    expect(files()).toEqual(untouched);
    expect((await byCri(node, reference))?.slice(0, 200)).toBe(before?.slice(0, 200));
    expect(await call(suite, "uninstall")).toBe("nothing is installed\n");
  });
});

/** Four restarts of containerd, three pulls and a container take their time on a slow machine. */
const MANY_RESTARTS_MS = 600_000;
const unsigned = release.version.startsWith("2.")
  ? /image verifier bindir blocked pull of .*trust: unsigned: no signature found/
  : /ctd-decoder: error: no image with this layer is trusted: .*no signature found/;

describeNode("installed with --trust", { processors: "none" }, (suite) => {
  prepare(suite);

  test(
    "an unsigned image is refused and a signed one runs, until it is uninstalled",
    async () => {
      const { node } = suite;
      const reference = await suite.push("encrypted");
      const { publicKey, privateKey } = newSigner();
      const keyPath = "/etc/containerd/ctd-decoder/cosign.pub";
      const docker = { [REGISTRY]: [{ type: "sigstoreSigned", keyPath }] };
      const policy = { default: [{ type: "reject" }], transports: { docker } };
      writeFileSync(join(node.folder, "policy.json"), JSON.stringify(policy));
      writeFileSync(join(node.folder, "cosign.pub"), publicKey);
      const key = join(suite.folder, "cosign.key");
      writeFileSync(key, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
      const keys = ["--keys", join(node.folder, "keys")];
      const program = ["--program", join(node.folder, "bin/ctd-decoder")];

      await call(suite, "install", ...program, ...keys, "--trust", join(node.folder, "policy.json"));
      expect(await byCri(node, reference)).toMatch(unsigned);
      await output(node.inside(ours), ["sign", "--quiet", "--key", key, reference]);
      expect(await byCri(node, reference)).toBeNull();
      expect(await node.runImage(reference)).toBe(suite.listing);

      await node.clear();
      await call(suite, "uninstall");
      await call(suite, "install", ...program, ...keys);
      await suite.encrypt(skopeo, "plain", "encrypted");
      expect(await byCri(node, await suite.push("encrypted"))).toBeNull();
      await call(suite, "uninstall");
    },
    MANY_RESTARTS_MS,
  );
});
