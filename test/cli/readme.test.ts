import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DockerRegistry, startDockerRegistry } from "../support/docker-registry.ts";
import { describeWith, openssl, ours, type Peer, PROJECT, registry, root, run } from "../support/peers.ts";
import { rsaPair } from "../support/rsa.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** The commands of README.md, by heading. */
function commandsBySection(): Map<string, string[]> {
  const sections = new Map<string, string[]>();
  const pattern = /^##+ (?<heading>.+)$|^```sh\n(?<commands>[\s\S]*?)^```$/gm;
  let heading = "";
  for (const { groups } of readFileSync(`${PROJECT}README.md`, "utf8").matchAll(pattern)) {
    if (groups?.["heading"]) heading = groups["heading"];
    else sections.set(heading, [...(sections.get(heading) ?? []), groups?.["commands"] ?? ""]);
  }
  return sections;
}

const SECTIONS = commandsBySection();
const bash: Peer = { name: "bash", command: "bash", args: ["-euo", "pipefail", "-c"] };
const PATH = [dirname(ours.command), join(PROJECT, "scripts"), process.env["PATH"]].join(delimiter);

async function runAll(commands: string, cwd: string, shell = bash) {
  return run(shell, [commands], { cwd, env: { ...process.env, PATH } });
}

test("every section with commands has a test here", () => {
  expect([...SECTIONS.keys()]).toEqual([
    "Get the executable",
    "Build it from source",
    "Install on a node",
    "Publish an encrypted image",
    "In CI",
    "Allow only signed images",
  ]);
});

const RELEASED = "ctd-decoder-linux-x64";

describeWith([ours, openssl], "Get the executable", {}, () => {
  const [block = ""] = SECTIONS.get("Get the executable") ?? [];
  const folder = temporaryFolder();

  beforeAll(() => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    copyFileSync(ours.command, join(folder, RELEASED));
    const sum = createHash("sha256").update(readFileSync(ours.command)).digest("hex");
    // As scripts/release writes them. The second file is one that the reader did not download.
    const sums = Buffer.from(`${sum}  ${RELEASED}\n${"0".repeat(64)}  provenance.json\n`);
    writeFileSync(join(folder, "SHA256SUMS"), sums);
    writeFileSync(join(folder, "SHA256SUMS.sig"), sign("sha256", sums, privateKey).toString("base64"));
    writeFileSync(join(folder, "release.pub"), publicKey.export({ type: "spki", format: "pem" }));
  });

  test("the commands accept a release, and the executable runs", async () => {
    const { exit, stdout, stderr } = await runAll(`${block}\n./${RELEASED} --version`, folder);
    expect(exit, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout.toString()).toMatch(/^Verified OK\nctd-decoder-linux-x64: OK\nctd-decoder \d/);
  });

  test.each(["SHA256SUMS", RELEASED])("they refuse one whose %s was changed", async (name) => {
    const path = join(folder, name);
    const original = readFileSync(path);
    writeFileSync(path, Buffer.concat([original, Buffer.from("\n")]));
    try {
      expect((await runAll(block, folder)).exit).toBe(1);
    } finally {
      writeFileSync(path, original);
    }
  });
});

describe("Build it from source", () => {
  test("both commands are programs of this project, and the demonstration succeeds", async () => {
    const commands = (SECTIONS.get("Build it from source") ?? []).map((block) => block.split(/\s+/)[0]);
    expect(commands).toEqual(["scripts/demo", "scripts/test"]);
    const demo = await run({ name: "demo", command: `${PROJECT}scripts/demo`, args: [] }, [], {
      cwd: PROJECT,
    });
    expect(demo).toMatchObject({ exit: 0, stderr: "" });
    expect(demo.stdout.toString()).toMatch(/— the same[\s\S]*complete and unchanged/);
  });
});

describeWith([ours, registry, openssl], "Publish an encrypted image", {}, () => {
  const folder = temporaryFolder();
  let server: DockerRegistry;

  beforeAll(async () => {
    mkdirSync(join(folder, "files"));
    writeFileSync(join(folder, "files/hello"), "hello\n");
    server = await startDockerRegistry(join(folder, "registry"));
    for (const name of ["cluster-a.pub", "cluster-a-next.pub"])
      writeFileSync(join(folder, name), rsaPair(2048).publicKey.export({ type: "spki", format: "pem" }));
    const certified = rsaPair(2048).privateKey.export({ type: "pkcs8", format: "pem" });
    writeFileSync(join(folder, "cluster-b.key"), certified);
    const made = await runAll(
      `openssl req -x509 -key cluster-b.key -days 2 -subj /CN=cluster-b -addext basicConstraints=CA:FALSE -out cluster-b.crt
      ctd-decoder keygen first.pem
      ctd-decoder encrypt --recipient jwe:first.pem.pub rootfs:files oci:app:0
      ctd-decoder decrypt --key first.pem oci:app:0 docker://${server.host}/app:1.0`,
      folder,
    );
    expect(made.exit, made.stderr).toBe(0);
  });

  afterAll(async () => await server.stop());

  test("all commands, in their order", async () => {
    for (const block of SECTIONS.get("Publish an encrypted image") ?? []) {
      const { exit, stderr } = await runAll(`REGISTRY=${server.host}\n${block}`, folder);
      expect(exit, `${block}\n${stderr}`).toBe(0);
    }
    const listed = await runAll("tar tzf layer.tar.gz", folder);
    expect(listed.stdout.toString()).toContain("hello");
    const next = await runAll("ctd-decoder verify --key next.jwk oci:app:1.0-next", folder);
    expect(next.stdout.toString()).toContain("complete and unchanged");
    const kept = await runAll("ctd-decoder verify --key node.pem oci:app:1.0-next", folder);
    expect(kept.stdout.toString()).toContain("complete and unchanged");
    const saved = await runAll("tar tf app.tar manifest.json", folder);
    expect(saved.exit, saved.stderr).toBe(0);
  });

  test("the recipe for CI works, and detects a missing recipient", async () => {
    const set = `REGISTRY=${server.host}; export COSIGN_PASSWORD=`;
    const made = await runAll(
      `${set}
      rm -f node.pem* mine.pem*
      for key in node mine; do ctd-decoder keygen -q $key.pem; done
      ctd-decoder keygen --for signing cosign.key`,
      folder,
    );
    expect(made.exit, made.stderr).toBe(0);
    const [block = ""] = SECTIONS.get("In CI") ?? [];
    const { exit, stdout, stderr } = await runAll(`${set}\n${block}`, folder);
    expect(exit, `${stdout}\n${stderr}`).toBe(0);
    expect(readFileSync(join(folder, "digest"), "utf8")).toMatch(/^sha256:[0-9a-f]{64}\n$/);

    const check = "ctd-decoder trust check -q --policy policy.json $REGISTRY/app:1.0-ci";
    const policy = { default: [{ type: "sigstoreSigned", keyPath: join(folder, "cosign.key.pub") }] };
    writeFileSync(join(folder, "policy.json"), JSON.stringify(policy));
    const pulled = await runAll(`${set}\n${check}`, folder);
    expect(pulled.exit, `a node refuses a pull by tag: ${pulled.stderr}`).toBe(0);

    const without = block.replace("-r jwe:mine.pem.pub ", "").replaceAll("-ci", "-ci2");
    const refused = await runAll(`${set}\n${without}`, folder);
    expect(refused.exit).toBe(1);
    expect(refused.stderr).toMatch(/ is not encrypted for jwe:mine\.pem\.pub\n/);
  });
});

// A private view of the folders that the commands write to: nothing of it stays on this machine. A private /proc hides the
// containerds of other tests, whose configuration install would otherwise change.
const node: Peer = {
  name: "unshare",
  command: "unshare",
  args: ["--mount", "--pid", "--fork", "--mount-proc", "bash", "-euo", "pipefail", "-c"],
};
const NODE = [
  "for d in /etc/containerd /usr/local/bin /var/lib /opt; do mkdir -p $d; mount -t tmpfs tmpfs $d; done",
  // A stand-in for systemctl prevents a restart of this machine's containerd.
  "mkdir /var/lib/bin",
  `printf '#!/bin/sh\\necho "$*" >>/var/lib/restarts\\n' >/var/lib/bin/systemctl`,
  "chmod +x /var/lib/bin/systemctl",
  "PATH=/var/lib/bin:$PATH",
].join("\n");

describeWith([ours, root], "Install on a node", {}, () => {
  const folder = temporaryFolder();

  test("the commands install, and doctor agrees, on a node without containerd's configuration", async () => {
    const [block = ""] = SECTIONS.get("Install on a node") ?? [];
    symlinkSync(ours.command, join(folder, RELEASED));
    const { exit, stdout, stderr } = await runAll(
      `${NODE}\n${block}\nls -R /etc/containerd /usr/local/bin\ncat /var/lib/restarts`,
      folder,
      node,
    );
    expect(exit, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout.toString()).toMatch(/node\.pem\n/);
    expect(stdout.toString()).toMatch(/^restart containerd$/m);
  });
});

describeWith([ours, registry, root], "Allow only signed images", {}, () => {
  const folder = temporaryFolder();
  let server: DockerRegistry;

  beforeAll(async () => {
    mkdirSync(join(folder, "files"));
    writeFileSync(join(folder, "files/hello"), "hello\n");
    server = await startDockerRegistry(join(folder, "registry"));
  });

  afterAll(async () => await server.stop());

  test("the commands lead from an unsigned, encrypted image to a node that refuses it", async () => {
    const [sign = "", policy = "", install = ""] = SECTIONS.get("Allow only signed images") ?? [];
    const check = install.split("\n").find((line) => line.startsWith("ctd-decoder trust check")) ?? "";
    const unsigned = check.replace("app:1.0-signed", "app:1.0-encrypted");
    const lines = [
      NODE,
      `REGISTRY=${server.host}`,
      "ctd-decoder keygen node.pem",
      "ctd-decoder encrypt --recipient jwe:node.pem.pub rootfs:files oci:app:0",
      "ctd-decoder decrypt --key node.pem oci:app:0 docker://$REGISTRY/app:1.0",
      "ctd-decoder encrypt --recipient jwe:node.pem.pub docker://$REGISTRY/app:1.0 docker://$REGISTRY/app:1.0-encrypted",
      sign,
      policy,
      "mkdir -p /etc/containerd/ocicrypt/keys && cp node.pem /etc/containerd/ocicrypt/keys",
      install,
      `if ${unsigned}; then echo accepted; exit 9; fi`,
      "ls /etc/containerd/ctd-decoder; grep -r trust-policy /etc/containerd | head -1",
    ];
    const { exit, stdout, stderr } = await runAll(lines.join("\n"), folder, node);
    expect(exit, `${stdout}\n${stderr}`).toBe(0);
    expect(stderr).toMatch(/app:1\.0-encrypted is not trusted: no signature found/);
    expect(stdout.toString()).toMatch(/cosign\.key\.pub\npolicy\.json\ntrust\.toml\n.*--trust-policy/);
  });
});
