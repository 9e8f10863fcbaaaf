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
  PROJECT,
  run,
  skopeo,
  skopeoNew,
  skopeoSid,
} from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** The help's examples with pipes, and the commands of docs/images.md in their order. */
const IN_HELP = COMMANDS.flatMap(({ examples }) => examples)
  .map(({ command }) => command)
  .filter((command) => /[|<]|&&/.test(command));
const [, IN_DOCUMENT = ""] =
  /^## Pipes\n[\s\S]*?^```sh\n([\s\S]*?)^```$/m.exec(readFileSync(`${PROJECT}docs/images.md`, "utf8")) ?? [];
const EXAMPLES = [...IN_HELP, ...IN_DOCUMENT.split("\n").filter((line) => line !== "")];

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
  await succeed(["decrypt", "-q", "-k", "node.pem", "oci:app:enc", "oci:app:1.0"], cwd);
  cpSync(keys.publicKey, join(folder, "node.pem.pub"));
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
  // Layouts replace the registry of the examples and the images of Docker.
  const call = [peer.command, ...peer.args].join(" ");
  const layouts = ["enc", "1.0"].map(
    (tag) => `set -- "\${@/#docker:\\/\\/registry\\/app:${tag}/oci:app:${tag}}"`,
  );
  write("skopeo", `${layouts.join("\n")}\nexec ${call} --insecure-policy "$@"`);
  write(
    "docker",
    `[ $1 = load ] && exec tar t >/dev/null\nexec ${call} --insecure-policy copy -q oci:$2 docker-archive:/dev/stdout:$2`,
  );
  write("ctr", "exec tar t >/dev/null");
  write("install", "exec cat >/dev/null");
  write("man", "exec grep -q '^.TH'");
  return bin;
}

describeWith([ours, bash, ...SKOPEOS], "examples in the help that use pipes", {}, () => {
  for (const peer of SKOPEOS) {
    const path = () => [programs(peer), dirname(ours.command), process.env["PATH"]].join(":");
    let PATH = "";
    const examples = peer === skopeo ? EXAMPLES : EXAMPLES.filter((it) => /skopeo|docker /.test(it));
    test.each(examples)(`with ${peer.name}: %s`, async (example) => {
      PATH ||= path();
      // Each example runs with each skopeo.
      if (example.includes("keygen")) rmSync(join(folder, "node.pub"), { force: true });
      const [, made = ""] = / - oci:(\S+):/.exec(example) ?? [];
      if (made !== "") rmSync(join(folder, made), { force: true, recursive: true });
      const { exit, stderr } = await run(bash, [example], { cwd: folder, env: { ...process.env, PATH } });
      expect(exit, stderr).toBe(0);
    });
  }

  // docs/images.md says so. If one of them works some day, the document should say that.
  test.each(SKOPEOS)("$name does not pass OCI archives through pipes", async (peer) => {
    for (const args of [
      ["oci:app:enc", "oci-archive:/dev/stdout"],
      ["oci-archive:/dev/stdin", "oci:never"],
    ]) {
      const { exit, stdout, stderr } = await run(peer, ["--insecure-policy", "copy", "-q", ...args], {
        cwd: folder,
      });
      expect({ exit, stdout: stdout.length }).toEqual({ exit: 1, stdout: 0 });
      expect(stderr).toContain(args.find((it) => it.includes("/dev/")));
    }
  });
});
