import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { writeSecret } from "../containerd/images.ts";
import { describeWith, ours, output, PROJECT, run } from "../support/peers.ts";
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
    expect(said).toMatch(/would write \/etc\/containerd\/config\.toml, and keep the old one as \S+\.backup-/);
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
  ])("%j is refused", async (args, message) => {
    const { exit, stderr } = await run(script, ["--root", newNode(), "--containerd", "1.7", ...args]);
    expect(exit).not.toBe(0);
    expect(stderr).toMatch(message);
  });
});
