import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { containerd, describeWith, ours, output, root, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const START_DEADLINE_MS = 30_000;
const LATER_MS = 60_000;

describeWith([ours, containerd, root], "ctd-decoder doctor beside a containerd", {}, () => {
  const folder = temporaryFolder();

  /** A node's files, with the processors in a file that config.toml imports. */
  async function newNode(): Promise<{ config: string; dropIn: string; socket: string }> {
    const node = mkdtempSync(join(folder, "node-"));
    mkdirSync(join(node, "keys"));
    await output(ours, ["keygen", join(node, "keys/node.pem")]);
    const dropIn = join(node, "ctd-decoder.toml");
    const paths = ["--path", ours.command, "--keys-path", join(node, "keys")];
    writeFileSync(dropIn, await output(ours, ["config", "--containerd", "1.x", ...paths]));
    const config = join(node, "config.toml");
    const socket = join(node, "containerd.sock");
    writeFileSync(
      config,
      `version = 2
imports = ["${dropIn}"]
root = "${node}/root"
state = "${node}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${socket}"
`,
    );
    return { config, dropIn, socket };
  }

  async function start({ config, socket }: { config: string; socket: string }): Promise<ChildProcess> {
    const child = spawn(containerd.command, ["--config", config], { stdio: "ignore" });
    onTestFinished(() => stop(child));
    const deadline = Date.now() + START_DEADLINE_MS;
    while (!existsSync(socket) && Date.now() < deadline) await new Promise((done) => setTimeout(done, 50));
    expect(existsSync(socket)).toBe(true);
    return child;
  }

  async function stop(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill();
    await ended;
  }

  async function doctor(config: string) {
    const { exit, stdout } = await run(ours, ["doctor", "--config", config]);
    return { exit, text: stdout.toString() };
  }

  test("a file that changed after containerd's start needs a restart", async () => {
    const node = await newNode();
    // The file is much older, because the start time is only accurate to a second.
    const before = new Date(Date.now() - LATER_MS);
    for (const file of [node.config, node.dropIn]) utimesSync(file, before, before);
    const unseen = await doctor(node.config);
    expect(unseen.exit).toBe(0);
    expect(unseen.text).toMatch(/healthy, for a containerd that is started with this configuration/);

    const child = await start(node);
    const fresh = await doctor(node.config);
    expect(fresh).toMatchObject({ exit: 0, text: expect.stringMatching(/\nhealthy\n$/) });
    expect(fresh.text).toContain(`process ${child.pid}, `);

    const later = new Date(Date.now() + LATER_MS);
    utimesSync(node.dropIn, later, later);
    const stale = await doctor(node.config);
    expect(stale.exit).toBe(1);
    expect(stale.text).toContain(`(process ${child.pid}) started before ${node.dropIn} changed`);
    expect(stale.text).not.toMatch(/healthy/);
  });
});
