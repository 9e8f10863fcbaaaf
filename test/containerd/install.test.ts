import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { snapshot } from "../support/node-root.ts";
import { skopeo } from "../support/peers.ts";
import { byCri, describeNode, type NodeSuite } from "./suite.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The service manager of a node: it starts containerd anew, as systemd would. */
function systemctl(folder: string): string {
  return `#!/bin/busybox sh
# What has ended stays in /proc, without its program, until its parent asks for it.
live() { for it in $(busybox pidof containerd); do busybox readlink /proc/$it/exe >/dev/null && echo $it; done; }
case $1 in
show) echo loaded ;;
is-active) [ -n "$(live)" ] ;;
restart)
  busybox kill $(live)
  while [ -n "$(live)" ]; do busybox usleep 100000; done
  busybox rm -f ${folder}/containerd.sock
  busybox setsid busybox env -i PATH=${PATH} containerd --config ${folder}/config.toml >>${folder}/containerd.log 2>&1 </dev/null &
  until [ -S ${folder}/containerd.sock ]; do busybox usleep 100000; done
  ;;
esac
`;
}

describeNode("installed and uninstalled", { processors: "none", localPull: true }, (suite) => {
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
  }, 60_000);

  /** Our executable in the node, which finds containerd and its configuration by itself. */
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
