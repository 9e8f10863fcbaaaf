import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { writeSecret } from "../containerd/images.ts";
import { describeWith, ours, output, PROJECT, root, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const script = { name: "install-node", command: join(PROJECT, "scripts/install-node"), args: [] };
const linux =
  process.platform === "linux" ? { name: "Linux" } : { name: "Linux", absent: "it is for Linux nodes" };
const CONFIG = "etc/containerd/config.toml";
const DROP_IN = "/etc/containerd/ctd-decoder.toml";
const K3S = "var/lib/rancher/k3s/agent/etc/containerd";

describeWith([ours, linux], "scripts/install-node", {}, () => {
  const folder = temporaryFolder();
  const bin = join(folder, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "nsenter"), `#!/bin/sh\necho "$@" >>"${folder}/restarts"\n`);
  chmodSync(join(bin, "nsenter"), 0o755);
  // The real one takes long to compare and copy, and has more to do than print a stanza.
  const program = join(folder, "program");
  writeFileSync(program, `#!/bin/sh\nexec "${ours.command}" "$@"\n`);
  chmodSync(program, 0o755);

  /** A node's file system, with these files. */
  function newNode(files: Readonly<Record<string, string>> = {}): string {
    const node = mkdtempSync(join(folder, "node-"));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(node, path)), { recursive: true });
      writeFileSync(join(node, path), text);
    }
    return node;
  }

  async function install(node: string, ...args: string[]): Promise<string> {
    const options = ["--root", node, "--binary", program, "--containerd", "1.7.24", ...args];
    const stdout = await output(script, options, {
      env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}` },
    });
    return stdout.toString();
  }

  const read = (node: string, path: string) => readFileSync(join(node, path), "utf8");
  const files = (node: string) =>
    readdirSync(node, { recursive: true, encoding: "utf8" }).filter((path) =>
      statSync(join(node, path)).isFile(),
    );

  test("puts the program, the stanza and its import in place, once", async () => {
    const node = newNode({ [CONFIG]: "version = 2\n\n[plugins]\n" });
    expect(await install(node)).toMatch(/restart containerd for it to take effect/);
    expect(read(node, "usr/local/bin/ctd-decoder")).toBe(readFileSync(program, "utf8"));
    expect(statSync(join(node, "usr/local/bin/ctd-decoder")).mode & 0o777).toBe(0o755);
    expect(statSync(join(node, "etc/containerd/ocicrypt/keys")).mode & 0o777).toBe(0o700);
    expect(read(node, DROP_IN)).toBe((await output(ours, ["config", "--containerd", "1.x"])).toString());
    expect(parse(read(node, CONFIG))).toEqual({ version: 2, imports: [DROP_IN], plugins: {} });
    const before = files(node);
    expect(before.filter((path) => path.includes(".backup-")).map((path) => read(node, path))).toEqual([
      "version = 2\n\n[plugins]\n",
    ]);
    expect(await install(node)).toMatch(/nothing to do\n$/);
    expect(files(node)).toEqual(before);
  });

  test("--dry-run says so and does nothing", async () => {
    const node = newNode({ [CONFIG]: "version = 2\n", "keys/a.pem": "a key" });
    const before = files(node);
    const said = await install(node, "--dry-run", "--restart", "--keys", join(node, "keys"));
    for (const what of [DROP_IN, `/${CONFIG}`, "/usr/local/bin/ctd-decoder", "a.pem", "systemctl restart"])
      expect(said).toContain(what);
    expect(said).toContain(
      `would write ${node}/${CONFIG}, and keep the old one as ${node}/${CONFIG}.backup-`,
    );
    expect(said.match(/backup/g)).toHaveLength(1);
    expect(files(node)).toEqual(before);
    expect(read(node, CONFIG)).toBe("version = 2\n");
    expect(existsSync(join(folder, "restarts"))).toBe(false);
  });

  describe("whatever the configuration imports already", () => {
    test.each<[string, string, Record<string, unknown>]>([
      [
        "nothing, and it has a table",
        "version = 2\n[plugins]\nx = 1\n",
        { version: 2, imports: [DROP_IN], plugins: { x: 1 } },
      ],
      ["nothing, and it has no table", "root = '/x'", { root: "/x", imports: [DROP_IN] }],
      ["nothing at all", "", { imports: [DROP_IN] }],
      ["an empty list", "version = 2\nimports = []\n", { version: 2, imports: [DROP_IN] }],
      [
        "a list",
        "imports = ['a.toml', \"b.toml\"]\nversion = 2",
        { version: 2, imports: [DROP_IN, "a.toml", "b.toml"] },
      ],
      [
        "a list of several lines",
        "version = 2\nimports = [ # these\n  'a.toml',\n]\n[grpc]\n",
        { version: 2, imports: [DROP_IN, "a.toml"], grpc: {} },
      ],
      ["it in a comment", `version = 2\n# imports = ["${DROP_IN}"]\n`, { version: 2, imports: [DROP_IN] }],
      [
        "something, and it in a comment there",
        `imports = ["a.toml", # "${DROP_IN}"\n]\n`,
        { imports: [DROP_IN, "a.toml"] },
      ],
      ["it in single quotes", `imports = ['${DROP_IN}']\n`, { imports: [DROP_IN] }],
      ["a list under a quoted key", `"imports" = ['a.toml']\n`, { imports: [DROP_IN, "a.toml"] }],
      ["a list under another quoted key", "'imports'=[]\n", { imports: [DROP_IN] }],
      [
        "a table's own imports",
        "version = 2\n[x]\nimports = ['y']\n",
        { version: 2, imports: [DROP_IN], x: { imports: ["y"] } },
      ],
    ])("%s", async (_what, text, expected) => {
      const node = newNode({ [CONFIG]: text });
      await install(node);
      expect(parse(read(node, CONFIG))).toEqual(expected);
      // An import of a higher version than the file itself is refused by newer containerds.
      expect(parse(read(node, DROP_IN))["version"]).toBe(expected["version"]);
    });
  });

  describe("what an operator wrote into the processors", () => {
    const FLAGS = '"--decryption-keys-path", "/etc/containerd/ocicrypt/keys"';
    const backups = (node: string) => files(node).filter((path) => path.includes(".backup-"));

    test("stays when it was added to args and env, processor by processor", async () => {
      const node = newNode();
      await install(node);
      // A newer program's processors: what was not added is brought up to date all the same.
      const changed = read(node, DROP_IN)
        .replace(`${FLAGS}]`, `${FLAGS}, "--release=stream"] # faster`)
        .replace(/keyprovider\.conf"\]\n$/, 'keyprovider.conf", "OCICRYPT_CONFIG=/etc/ocicrypt.conf"]\n');
      writeFileSync(join(node, DROP_IN), changed);
      expect(await install(node)).toMatch(/nothing to do\n$/);
      expect(read(node, DROP_IN)).toBe(changed);
      writeFileSync(join(node, DROP_IN), changed.replace(/.*zstd.*\n/g, ""));
      await install(node);
      expect(read(node, DROP_IN)).toBe(changed);
      expect(changed.match(/--release=stream/g)).toHaveLength(1);
    });

    test("is backed up when it replaced something", async () => {
      const node = newNode();
      await install(node);
      const right = read(node, DROP_IN);
      for (const args of ['"--decryption-keys-path", "/elsewhere"', `${FLAGS},\n  "--release=stream"`]) {
        const changed = right.replaceAll(FLAGS, args);
        writeFileSync(join(node, DROP_IN), changed);
        await install(node);
        expect(read(node, DROP_IN)).toBe(right);
        expect(backups(node).map((path) => read(node, path))).toContain(changed);
        for (const path of backups(node)) rmSync(join(node, path));
      }
    });

    test("stays in k3s's template, too", async () => {
      const node = newNode({ [`${K3S}/config.toml`]: "generated" });
      await install(node);
      const template = join(K3S, "config.toml.tmpl");
      const changed = read(node, template).replaceAll(`${FLAGS}]`, `${FLAGS}, "--verify-digest"]`);
      writeFileSync(join(node, template), changed);
      expect(await install(node)).toMatch(/nothing to do\n$/);
      expect(read(node, template)).toBe(changed);
    });
  });

  test("a node without a configuration gets one", async () => {
    const node = newNode();
    await install(node, "--containerd", "2.1.9");
    expect(parse(read(node, CONFIG))).toEqual({ version: 3, imports: [DROP_IN] });
  });

  test("the configuration may lie elsewhere", async () => {
    const node = newNode({ "opt/c.toml": "version = 2\n" });
    await install(node, "--config", "/opt/c.toml");
    expect(parse(read(node, "opt/c.toml"))).toEqual({ version: 2, imports: ["/opt/ctd-decoder.toml"] });
    expect(existsSync(join(node, CONFIG))).toBe(false);
  });

  test.each([
    ["1.7.24", "config.toml.tmpl"],
    ["2.1.9", "config-v3.toml.tmpl"],
  ])("k3s with containerd %s has a template, made or added to", async (version, name) => {
    const node = newNode({ [`${K3S}/config.toml`]: "generated" });
    await install(node, "--containerd", version);
    const made = read(node, `${K3S}/${name}`);
    expect(made).toMatch(/^\{\{ template "base" \. \}\}\n# BEGIN ctd-decoder\n/);
    expect(made).not.toMatch(/^version/m);
    expect(parse(made.replace(/^\{\{.*\n/, ""))).toHaveProperty([
      "stream_processors",
      "io.containerd.ocicrypt.decoder.v1.tar",
    ]);

    writeFileSync(join(node, K3S, name), `# mine\n${made}# mine too\n`);
    await install(node, "--containerd", version);
    expect(read(node, `${K3S}/${name}`).match(/# BEGIN ctd-decoder/g)).toHaveLength(1);
    expect(read(node, `${K3S}/${name}`)).toMatch(/^# mine\n[\s\S]*# mine too\n/);
    expect(read(node, `${K3S}/config.toml`)).toBe("generated");
  });

  test("keys are copied from a Secret, for root's eyes only", async () => {
    const node = newNode();
    const secret = mkdtempSync(join(folder, "secret-"));
    writeSecret(secret, "node.pem", Buffer.from("a key"));
    expect(await install(node, "--keys", secret, "--keys-only")).toMatch(/copied the key node.pem/);
    expect(files(node)).toEqual(["etc/containerd/ocicrypt/keys/node.pem"]);
    expect(read(node, "etc/containerd/ocicrypt/keys/node.pem")).toBe("a key");
    expect(statSync(join(node, "etc/containerd/ocicrypt/keys/node.pem")).mode & 0o777).toBe(0o600);
    expect(await install(node, "--keys", secret, "--keys-only")).toBe("");
  });

  test("--restart restarts containerd if its configuration changed, and only then", async () => {
    const node = newNode({ [CONFIG]: "version = 2\n" });
    await install(node, "--restart");
    expect(await install(node, "--restart")).toMatch(/nothing to do/);
    expect(readFileSync(join(folder, "restarts"), "utf8")).toBe(
      "--target 1 --mount --pid -- systemctl restart containerd\n",
    );
  });

  test.each([
    [["--binary", "/none"], /\/none is no program/],
    [["--keys", "/none"], /\/none is no folder/],
    [["--unknown"], /unknown option --unknown/],
    [["--config"], /--config needs a value/],
    [["--dry-run", "--root", ""], /--root needs a value/],
    [["--root", join(folder, "none")], /\/none is no folder/],
    [["--containerd", "nope"], /--containerd takes/],
    [["--keys-only"], /--keys-only needs --keys/],
  ])("%j is refused", async (args, message) => {
    const node = newNode();
    const options = ["--root", node, "--binary", program, "--containerd", "1.7"];
    const { exit, stderr } = await run(script, [...options, ...args]);
    expect(exit).not.toBe(0);
    expect(stderr).toMatch(message);
    expect(readdirSync(node)).toEqual([]);
    expect(existsSync(join(folder, "none"))).toBe(false);
  });
});

describeWith([ours, root], "scripts/install-node on a node's own file system", {}, () => {
  const folder = temporaryFolder();

  /** With this machine's files below --root, but for those that are written. Nothing of it stays. */
  async function install(config: string) {
    const node = mkdtempSync(join(folder, "node-"));
    const commands = `
      mount --rbind / "${node}"
      mkdir -p /etc/containerd /usr/local/bin
      for d in etc/containerd usr/local/bin; do mount -t tmpfs tmpfs "${node}/$d"; done
      printf '%s' '${config}' >"${node}/${CONFIG}"
      nsenter() { echo "restarted: $*"; }
      export -f nsenter
      "${script.command}" --root "${node}" --binary "${ours.command}" --containerd 1.7.24 --restart`;
    const unshare = { name: "unshare", command: "unshare", args: ["--mount", "bash", "-euc"] };
    const { exit, stdout, stderr } = await run(unshare, [commands]);
    return { exit, said: stdout.toString() + stderr };
  }

  test("checks the configuration there", async () => {
    const { exit, said } = await install("version = 2\n");
    expect(exit, said).toBe(0);
    expect(said).toMatch(new RegExp(`^/${CONFIG}, for containerd 1\\.7\\.24, with 1 import`, "m"));
    expect(said).toMatch(/^restarted: .* systemctl restart containerd$/m);
  });

  test("does not restart containerd with one that is wrong", async () => {
    const type = "application/vnd.oci.image.layer.v1.tar+encrypted";
    const { exit, said } = await install(`version = 2\n[stream_processors.x]\naccepts = ["${type}"]\n`);
    expect(exit).not.toBe(0);
    expect(said).toMatch(/error: \S+ is accepted by /);
    expect(said).toMatch(/containerd is not restarted .* then systemctl restart containerd\n$/);
    expect(said).not.toMatch(/^restarted/m);
  });
});
