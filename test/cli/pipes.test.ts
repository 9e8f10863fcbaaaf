import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { rsaKeys, succeed } from "../support/cli.ts";
import {
  describeWith,
  onPath,
  ours,
  type Peer,
  run,
  skopeo,
  skopeoNew,
  skopeoSid,
} from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** Runs the help's examples with pipes in a shell. */
const EXAMPLES = COMMANDS.flatMap(({ examples }) => examples)
  .map(({ command }) => command)
  .filter((command) => /[|<]|&&/.test(command));

const bash: Peer = { ...onPath("bash"), args: ["-euo", "pipefail", "-c"] };
/** Of bookworm, trixie and sid. */
const SKOPEOS = [skopeo, skopeoNew, skopeoSid];
const folder = temporaryFolder();

beforeAll(async () => {
  const keys = await rsaKeys(join(folder, "keys"), "node");
  cpSync(keys.privateKey, join(folder, "node.pem"));
  writeFileSync(join(folder, "password.txt"), "unused: the key has no password");
  mkdirSync(join(folder, "files"));
  writeFileSync(join(folder, "files/hello"), "hello");
  const cwd = { cwd: folder };
  const recipient = `jwe:${keys.publicKey}`;
  await succeed(["encrypt", "-q", "-r", recipient, "rootfs:files", "oci:app:enc"], cwd);
  await succeed(["encrypt", "-q", "-r", recipient, "rootfs:files", "oci-archive:app.tar:enc"], cwd);
  const layout = JSON.parse(await succeed(["inspect", "--json", "oci:app:enc"], cwd));
  const [layer] = layout.platforms[0].layers;
  cpSync(join(folder, "app/blobs/sha256", layer.digest.slice(7)), join(folder, "layer.enc"));
  const manifest = readFileSync(join(folder, "app/blobs/sha256", layout.digest.slice(7)), "utf8");
  writeFileSync(join(folder, "desc.json"), JSON.stringify(JSON.parse(manifest).layers[0]));
});

/** A folder for PATH with our executable, this skopeo, and stand-ins for programs that would change the machine. */
function programs(peer: Peer): string {
  const bin = join(folder, peer.name.replaceAll(/\W/g, "-"));
  const write = (name: string, line: string) => {
    writeFileSync(join(bin, name), `#!/bin/bash\n${line}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  mkdirSync(bin);
  // The layout replaces the registry of the examples.
  const call = [peer.command, ...peer.args].join(" ");
  write("skopeo", `exec ${call} "\${@/docker:\\/\\/registry\\/app:enc/oci:app:enc}"`);
  write("ctr", "exec tar t >/dev/null");
  write("install", "exec cat >/dev/null");
  write("man", "exec grep -q '^.TH'");
  return bin;
}

describeWith([ours, bash, ...SKOPEOS], "examples in the help that use pipes", {}, () => {
  for (const peer of SKOPEOS) {
    const path = () => [programs(peer), dirname(ours.command), process.env["PATH"]].join(":");
    let PATH = "";
    test.each(EXAMPLES)(`with ${peer.name}: %s`, async (example) => {
      PATH ||= path();
      rmSync(join(folder, "node.pub"), { force: true });
      const { exit, stderr } = await run(bash, [example], { cwd: folder, env: { ...process.env, PATH } });
      expect(exit, stderr).toBe(0);
    });
  }
});
