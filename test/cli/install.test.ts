import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { writeSecret } from "../containerd/images.ts";
import { FAKE_PROGRAM, Nodes, put, snapshot } from "../support/node-root.ts";
import { busybox, describeWith, ours, root, run, strace } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const CONFIG = "etc/containerd/config.toml";
const DROP_IN = "/etc/containerd/ctd-decoder.toml";
const PROGRAM = "usr/local/bin/ctd-decoder";
const KEYS = "etc/containerd/ocicrypt/keys";
const K3S = "var/lib/rancher/k3s/agent/etc/containerd";
const RKE2 = "var/lib/rancher/rke2/agent/etc/containerd";
const K0S = "etc/k0s";
/** The first lines of a file that k0s writes at each start. */
const MANAGED = "# k0s_managed=true\n# This is a placeholder configuration for k0s managed containerd.\n";
const TAR_ID = "io.containerd.ocicrypt.decoder.v1.tar";
const GZIP_ID = `${TAR_ID}.gzip`;
/** A configuration from tutorials for Go's decoder. */
const TUTORIAL = ["", ".gzip"]
  .map((suffix) => {
    const type = `application/vnd.oci.image.layer.v1.tar${suffix.replace(".", "+")}`;
    return `[stream_processors."${TAR_ID}${suffix}"]
  accepts = ["${type}+encrypted"]
  returns = "${type}"
  path = "ctd-decoder"
  args = ["--decryption-keys-path", "/etc/containerd/ocicrypt/keys"]
`;
  })
  .join("\n");

describeWith([ours, busybox, root], "ctd-decoder install on prepared nodes", {}, () => {
  const folder = temporaryFolder();
  const nodes = new Nodes(folder);
  const read = (node: string, path: string) => readFileSync(join(node, path), "utf8");
  /** Files in the keys folder, without the place of its lock. */
  const keysIn = (node: string) =>
    readdirSync(join(node, KEYS))
      .filter((name) => name !== "..ctd-decoder")
      .sort();
  const processorsOf = (text: string) =>
    parse(text)["stream_processors"] as Record<string, Record<string, unknown>>;

  describe("installs the program, the processors and their import, and removes them again", () => {
    test.each<[string, Readonly<Record<string, string>>, string[]]>([
      ["containerd 1.6", { [CONFIG]: "version = 2\n# mine\n[plugins]\n" }, ["--containerd", "1.6.20"]],
      ["containerd 1.7 without a configuration", {}, []],
      ["containerd 2.1 without a configuration", {}, ["--containerd", "2.1.9"]],
      ["a version 2 file of containerd 2.1", { [CONFIG]: "version = 2\n" }, ["--containerd", "2.1.9"]],
      ["a file without a version", { [CONFIG]: "[plugins]\n" }, []],
      [
        "a folder of imports",
        { [CONFIG]: 'version = 3\nimports = ["/etc/containerd/conf.d/*.toml"]\n' },
        ["--containerd", "2.3.4"],
      ],
      [
        "Go's decoder and a tutorial's processors",
        { [CONFIG]: `version = 2\n${TUTORIAL}`, [PROGRAM]: "#!Go" },
        [],
      ],
      ["a configuration elsewhere", { "opt/c.toml": "version = 2\n" }, ["--config", "/opt/c.toml"]],
      ["k3s with containerd 1.7", { [`${K3S}/config.toml`]: "version = 2\n" }, []],
      ["k3s with containerd 2.1", { [`${K3S}/config.toml`]: "version = 3\n" }, ["--containerd", "2.1.9"]],
      [
        "k3s with a folder of imports",
        { [`${K3S}/config.toml`]: `version = 3\nimports = ["/${K3S}/config-v3.toml.d/*.toml"]\n` },
        ["--containerd", "2.1.9"],
      ],
      [
        "k0s that imports a folder",
        {
          [`${K0S}/containerd.toml`]: `${MANAGED}version = 2\nimports = ["/${K0S}/containerd.d/*.toml"]\n`,
          [`${K0S}/containerd.d/mine.toml`]: "version = 2\n[debug]\n",
        },
        [],
      ],
      [
        "k0s that lists its imports",
        { [`${K0S}/containerd.toml`]: `${MANAGED}version = 2\nimports = ["/run/k0s/containerd-cri.toml"]\n` },
        [],
      ],
      ["k0s before its first start", { [`${K0S}/k0s.yaml`]: "" }, ["--containerd", "2.1.9"]],
      ["k0s with a configuration of the operator's", { [`${K0S}/containerd.toml`]: "version = 2\n" }, []],
      ["RKE2 before its first start", { [`${RKE2}/note`]: "" }, ["--containerd", "2.1.9"]],
      [
        "k3s with a tutorial's template",
        { [`${K3S}/config.toml.tmpl`]: `{{ template "base" . }}\n${TUTORIAL}` },
        [],
      ],
    ])("%s", async (_what, files, args) => {
      const node = nodes.make(files);
      const before = snapshot(node);
      const first = await nodes.run("install", node, ...args);
      expect(first).toMatchObject({
        exit: 3,
        stderr: expect.stringMatching(/containerd reads the new configuration only after a restart/),
      });
      expect(read(node, PROGRAM)).toBe(FAKE_PROGRAM);
      expect(statSync(join(node, PROGRAM)).mode & 0o777).toBe(0o755);
      expect(statSync(join(node, KEYS)).mode & 0o777).toBe(0o700);

      const installed = snapshot(node);
      const second = await nodes.run("install", node, ...args);
      expect(second.exit).toBe(3);
      expect(second.stdout.toString()).not.toMatch(/wrote/);
      expect(snapshot(node)).toEqual(installed);

      expect((await nodes.run("uninstall", node)).exit).toBe(0);
      expect(snapshot(node)).toEqual(before);
      const again = await nodes.run("uninstall", node);
      expect(again).toMatchObject({ exit: 0, said: "nothing is installed\n" });
    });
  });

  test("every replaced file is kept beside the new one", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n", [PROGRAM]: "#!Go" });
    await nodes.run("install", node);
    expect(read(node, `${PROGRAM}.before-ctd-decoder`)).toBe("#!Go");
    expect(read(node, `${CONFIG}.before-ctd-decoder`)).toBe("version = 2\n");
    writeFileSync(nodes.program, FAKE_PROGRAM.replace("9.9.9", "9.9.10"));
    try {
      await nodes.run("install", node);
    } finally {
      writeFileSync(nodes.program, FAKE_PROGRAM);
    }
    expect(read(node, PROGRAM)).toContain("9.9.10");
    expect(read(node, `${PROGRAM}.before-ctd-decoder`)).toBe("#!Go");
  });

  describe("every form of earlier imports works:", () => {
    test.each<[string, string, Record<string, unknown>]>([
      [
        "nothing, and it has a table",
        "version = 2\n[debug]\nx = 1\n",
        { version: 2, imports: [DROP_IN], debug: { x: 1 } },
      ],
      ["nothing, and it has no table", "root = '/x'", { root: "/x", imports: [DROP_IN] }],
      ["nothing at all", "", { imports: [DROP_IN] }],
      ["an empty list", "version = 2\nimports = []\n", { version: 2, imports: [DROP_IN] }],
      [
        "a nested list before the first table",
        'version = 2\nx = [\n  ["a"],\n]\n[debug]\n',
        { version: 2, imports: [DROP_IN], x: [["a"]], debug: {} },
      ],
      [
        "a list of several lines",
        "version = 2\nimports = [ # these\n  '/a.toml', # a\n]\n[grpc]\n",
        { version: 2, imports: ["/a.toml", DROP_IN], grpc: {} },
      ],
      ["it in a comment", `version = 2\n# imports = ["${DROP_IN}"]\n`, { version: 2, imports: [DROP_IN] }],
      [
        "it in a comment of the list",
        `imports = ["/a.toml", # "${DROP_IN}"]\n]\n`,
        { imports: ["/a.toml", DROP_IN] },
      ],
      ["it in single quotes", `imports = ['${DROP_IN}']\n`, { imports: [DROP_IN] }],
      ["a list under a quoted key", `"imports" = ['/a.toml']\n`, { imports: ["/a.toml", DROP_IN] }],
      [
        "a table's own imports",
        "version = 2\n[x]\nimports = ['y']\n",
        { version: 2, imports: [DROP_IN], x: { imports: ["y"] } },
      ],
      [
        "a text with a list",
        'version = 2\nx = "imports = []"\nimports = []\n',
        { version: 2, x: "imports = []", imports: [DROP_IN] },
      ],
      [
        "a relative path to it",
        'version = 2\nimports = ["ctd-decoder.toml"]\n',
        { version: 2, imports: ["ctd-decoder.toml"] },
      ],
    ])("%s", async (_what, text, expected) => {
      const isImported = JSON.stringify(expected["imports"]) === JSON.stringify(parse(text)["imports"]);
      const node = nodes.make({
        [CONFIG]: text,
        "a.toml": "",
        ...(isImported && { [DROP_IN.slice(1)]: "" }),
      });
      const { said } = await nodes.run("install", node);
      expect(parse(read(node, CONFIG)), said).toEqual(expected);
      // containerd 2.3 refuses an import of a higher version.
      expect(parse(read(node, DROP_IN))["version"]).toBe(expected["version"]);
    });

    test("a list in a form that cannot be edited safely is refused", async () => {
      const node = nodes.make({ [CONFIG]: '"impo\\u0072ts" = ["/a.toml"]\n', "a.toml": "" });
      const before = snapshot(node);
      const { exit, said } = await nodes.run("install", node);
      expect(exit).toBe(1);
      expect(said).toMatch(
        /cannot add an import to .* safely; nothing was changed\n.*add "\/etc\/containerd\/ctd-decoder/,
      );
      expect(snapshot(node)).toEqual(before);
    });
  });

  describe("what an operator configured stays", () => {
    const FLAGS = '"--decryption-keys-path", "/etc/containerd/ocicrypt/keys"';

    test("args and env that were added, and a program's processors are brought up to date", async () => {
      const node = nodes.make();
      await nodes.run("install", node);
      const changed = read(node, DROP_IN)
        .replace(`${FLAGS}]`, `${FLAGS}, "--release=stream"] # faster`)
        .replace(/keyprovider\.conf"\]\n$/, 'keyprovider.conf", "OCICRYPT_CONFIG=/etc/ocicrypt.conf"]\n');
      put(node, DROP_IN, changed);
      await nodes.run("install", node);
      expect(read(node, DROP_IN)).toBe(changed);
      put(node, DROP_IN, changed.replace(/.*zstd.*\n/g, ""));
      const { said } = await nodes.run("install", node);
      expect(processorsOf(read(node, DROP_IN))).toEqual(processorsOf(changed));
      expect(said).toMatch(/the edited file was kept as \S+ctd-decoder.toml.edited/);
      expect(read(node, `${DROP_IN}.edited`)).not.toMatch(/zstd/);
    });

    test("args and env of a program with another name, as long as an installation put it there", async () => {
      const node = nodes.make();
      expect((await nodes.run("install", node)).said).not.toMatch(/warning/);
      for (const path of ["/opt/x/ctd", "/opt/y/ctd"]) {
        expect((await nodes.run("install", node, "--program", path)).said).not.toMatch(/warning/);
        put(node, DROP_IN, read(node, DROP_IN).replaceAll(`${FLAGS}`, `${FLAGS}, "--verbose"`));
        const edited = read(node, DROP_IN);
        for (const args of [["--program", path], []]) {
          expect((await nodes.run("install", node, ...args)).said).not.toMatch(/warning/);
          expect(read(node, DROP_IN)).toBe(edited);
        }
      }
      rmSync(join(node, "var/lib/ctd-decoder"), { recursive: true });
      const { said } = await nodes.run("install", node, "--program", "/opt/z/ctd");
      expect(said).toMatch(/runs "\/opt\/y\/ctd" with args or env that are not kept: .* --verbose --verbose/);
    });

    test("the keys path of the replaced processors, to which keys are also copied", async () => {
      const text = `version = 2\n${TUTORIAL.replaceAll("/etc/containerd/ocicrypt/keys", "/srv/keys")}`;
      const node = nodes.make({ [CONFIG]: text, "from/a.pem": "a key" });
      await nodes.run("install", node, "--keys", join(node, "from"));
      expect(processorsOf(read(node, DROP_IN))[GZIP_ID]?.["args"]).toEqual([
        "--decryption-keys-path",
        "/srv/keys",
      ]);
      expect(read(node, "srv/keys/a.pem")).toBe("a key");
      expect(existsSync(join(node, KEYS))).toBe(false);
      await nodes.run("uninstall", node);
      expect(existsSync(join(node, "srv"))).toBe(false);
    });

    test("a keys path with a superfluous slash, which a later install and uninstall accept", async () => {
      const text = `version = 2\n${TUTORIAL.replaceAll("/etc/containerd/ocicrypt/keys", "/srv//keys/")}`;
      const node = nodes.make({ [CONFIG]: text });
      const before = snapshot(node);
      for (let i = 0; i < 2; i++) expect((await nodes.run("install", node)).exit).toBe(3);
      expect((await nodes.run("uninstall", node)).exit).toBe(0);
      expect(snapshot(node)).toEqual(before);
    });

    test("args that our decoder refuses are replaced, and named", async () => {
      const text = `version = 2\n${TUTORIAL.replaceAll("--decryption-keys-path", "--keys")}`;
      const node = nodes.make({ [CONFIG]: text });
      const { said } = await nodes.run("install", node);
      expect(said).toMatch(/warning: .*that are not kept: --keys \/etc/);
      expect(processorsOf(read(node, DROP_IN))[GZIP_ID]?.["args"]).toContain("--decryption-keys-path");
    });

    test("one processor that decompresses", async () => {
      const { stdout } = await run(ours, [
        "config",
        "--containerd",
        "1.x",
        "--returns",
        "tar",
        "--path",
        "/old/ctd-decoder",
      ]);
      const node = nodes.make({ [CONFIG]: stdout.toString() });
      await nodes.run("install", node);
      const { [TAR_ID]: tar, [GZIP_ID]: gzip } = processorsOf(read(node, DROP_IN));
      expect(tar).toMatchObject({ args: expect.arrayContaining(["--returns", "tar"]), path: `/${PROGRAM}` });
      expect(gzip).toMatchObject({ accepts: [] });
    });
  });

  describe("two processors never accept one type", () => {
    const ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
    const apart = (path: string) =>
      `[stream_processors."${TAR_ID}.zstd"]\naccepts = ["${ZSTD}+encrypted", "mine"]\nreturns = "${ZSTD}"\npath = "${path}"\n`;

    test("a decoder's processor with an ID of its own loses the types", async () => {
      const node = nodes.make({ [CONFIG]: `version = 2\n${apart("/usr/bin/ctd-decoder")}` });
      expect((await nodes.run("install", node)).exit).toBe(3);
      expect(processorsOf(read(node, DROP_IN))[`${TAR_ID}.zstd`]).toMatchObject({ accepts: ["mine"] });
      expect(read(node, CONFIG)).toContain(apart("/usr/bin/ctd-decoder"));
    });

    test("another program's is refused", async () => {
      const node = nodes.make({ [CONFIG]: `version = 2\n${apart("/usr/bin/other")}` });
      const before = snapshot(node);
      const { exit, said } = await nodes.run("install", node);
      expect(exit).toBe(1);
      expect(said).toMatch(/runs "\/usr\/bin\/other" for .*zstd\+encrypted; nothing was changed/);
      expect(snapshot(node)).toEqual(before);
    });

    test("a later import that would override ours is refused", async () => {
      const node = nodes.make({
        [CONFIG]: 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n',
        "etc/containerd/conf.d/zz.toml": `version = 2\n${TUTORIAL.replaceAll('"ctd-decoder"', '"/x/ctd-decoder"')}`,
      });
      const { exit, said } = await nodes.run("install", node);
      expect(exit).toBe(1);
      expect(said).toMatch(/conf.d\/zz.toml would override \S+tar; nothing was changed/);
    });

    test.each([
      ["k3s", K3S, "1.7.20", "config.toml.tmpl"],
      ["k3s", K3S, "2.1.9", "config-v3.toml.tmpl"],
      ["RKE2", RKE2, "1.7.20", "config.toml.tmpl"],
    ])(
      "a template of %s with a tutorial's processors has ours instead",
      async (_name, path, version, name) => {
        const runtime = '[plugins."x".nvidia]\n  runtime_type = "io.containerd.runc.v2"\n';
        const text = `{{ template "base" . }}\n# mine\n${runtime}\n${TUTORIAL}\n[debug]\n  level = "info"\n`;
        const node = nodes.make({ [`${path}/${name}`]: text });
        expect((await nodes.run("install", node, "--containerd", version)).exit).toBe(3);
        const edited = read(node, `${path}/${name}`);
        const rendered = edited.replace('{{ template "base" . }}', "version = 2");
        expect(processorsOf(rendered)[GZIP_ID]).toMatchObject({ path: `/${PROGRAM}` });
        for (const part of ["# mine", runtime, '[debug]\n  level = "info"\n']) expect(edited).toContain(part);
        await nodes.run("install", node, "--containerd", version);
        expect(read(node, `${path}/${name}`)).toBe(edited);
      },
    );

    test("a template that an older installer broke by a second block is repaired", async () => {
      const block = `# BEGIN ctd-decoder\n${TUTORIAL}# END ctd-decoder\n`;
      const node = nodes.make({
        [`${K3S}/config.toml.tmpl`]: `{{ template "base" . }}\n${TUTORIAL}${block}`,
      });
      expect((await nodes.run("install", node)).exit).toBe(3);
      const rendered = read(node, `${K3S}/config.toml.tmpl`).replace(
        '{{ template "base" . }}',
        "version = 2",
      );
      expect(Object.keys(processorsOf(rendered))).toEqual([TAR_ID, GZIP_ID]);
    });
  });

  test("a new template never shadows the operator's old one", async () => {
    const text = '{{ template "base" . }}\n[plugins."x".nvidia]\n';
    const node = nodes.make({ [`${K3S}/config.toml.tmpl`]: text });
    await nodes.run("install", node, "--containerd", "2.1.9");
    expect(existsSync(join(node, K3S, "config-v3.toml.tmpl"))).toBe(false);
    expect(read(node, `${K3S}/config.toml.tmpl`)).toContain(text);
  });

  test("without --program, the program stays where the last --program put it", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n", "opt/z/ctd-decoder": FAKE_PROGRAM });
    chmodSync(join(node, "opt/z/ctd-decoder"), 0o755);
    const before = snapshot(node);
    // The program at /opt/z is the operator's own: no record names its file.
    for (const place of ["/opt/x", "/opt/y", "/opt/x", "/opt/z"]) {
      const path = `${place}/ctd-decoder`;
      await nodes.run("install", node, "--program", path);
      expect((await nodes.run("install", node)).said).toContain(`${path} is in place\n`);
      expect(processorsOf(read(node, DROP_IN))[TAR_ID]).toMatchObject({ path });
    }
    await nodes.run("uninstall", node);
    expect(snapshot(node)).toEqual(before);
  });

  test("a program that was upgraded by hand is removed, once install has found it in place", async () => {
    for (const files of [{}, { [PROGRAM]: "#!Go" }]) {
      const node = nodes.make({ [CONFIG]: "version = 2\n", ...files });
      const before = snapshot(node);
      await nodes.run("install", node);
      const newer = nodes.write("newer", FAKE_PROGRAM.replace("9.9.9", "9.9.10"));
      put(node, PROGRAM, readFileSync(newer, "utf8"));
      expect((await nodes.run("uninstall", node, "--dry-run")).said).toContain(`would keep /${PROGRAM}\n`);
      const { said } = await nodes.run("install", node, "--binary", newer);
      expect(said).toContain(`/${PROGRAM} is in place\n`);
      await nodes.run("uninstall", node);
      expect(snapshot(node)).toEqual(before);
    }
  });

  test("a --config that the node does not have is refused, unless containerd starts without it", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n" });
    const before = snapshot(node);
    const { exit, stderr } = await nodes.run("install", node, "--config", "/etc/containerd/confg.toml");
    expect([exit, stderr]).toEqual([
      1,
      expect.stringMatching(
        /the node has no \/etc\/containerd\/confg\.toml; nothing was changed\n.*--config/,
      ),
    ]);
    expect(snapshot(node)).toEqual(before);
    const bare = nodes.make();
    expect((await nodes.run("install", bare, "--config", `/${CONFIG}`)).exit).toBe(3);
    expect(existsSync(join(bare, CONFIG))).toBe(true);
  });

  test("a file that k3s renders is not changed, even if --config names it", async () => {
    const node = nodes.make({ [`${K3S}/config.toml`]: "version = 3\n" });
    await nodes.run("install", node, "--containerd", "2.1.9", "--config", `/${K3S}/config.toml`);
    expect(read(node, `${K3S}/config.toml`)).toBe("version = 3\n");
    expect(existsSync(join(node, K3S, "config-v3.toml.tmpl"))).toBe(true);
  });

  describe("if the program does not run on the node, nothing is changed", () => {
    const elf = (machine: number) => {
      const bytes = Buffer.alloc(64);
      bytes.write("\x7fELF\x02\x01\x01", "latin1");
      bytes.writeUInt16LE(machine, 18);
      return bytes;
    };
    const other = process.arch === "arm64" ? 0x3e : 0xb7;
    test.each<[string, string | Uint8Array, Readonly<Record<string, string>>, RegExp]>([
      ["another architecture", elf(other), {}, /built for \S+, and the node is \S+; .*\n.*build for linux-/],
      [
        "no SSE4.2",
        "#!/bin/busybox sh\nkill -ILL $$\n",
        {},
        /the processor lacks an instruction.*\n.*needs SSE4\.2/,
      ],
      [
        "an old glibc",
        '#!/bin/busybox sh\necho "x: /lib/libc.so.6: version \\`GLIBC_2.38\' not found (required by x)" >&2; exit 1\n',
        {},
        /it needs glibc 2.38, and the node has an older one/,
      ],
      [
        "musl",
        readFileSync("/bin/true"),
        { "lib/ld-musl-x86_64.so.1": "" },
        /it needs glibc, and the node has musl; .*\n.*-musl/,
      ],
      ["no C library", readFileSync("/bin/true"), {}, /the node lacks the loader of its C library/],
      ["another program", "#!/bin/busybox sh\necho 1.2\n", {}, /it printed no version/],
    ])("%s", async (_what, text, files, message) => {
      const node = nodes.make({ [CONFIG]: "version = 2\n", [PROGRAM]: "#!Go", ...files });
      const before = snapshot(node);
      const binary = nodes.write("unfit", text);
      for (const extra of [[], ["--dry-run"], ["--restart"]]) {
        nodes.takeCalls();
        const { exit, said } = await nodes.run("install", node, "--binary", binary, ...extra);
        expect(exit).toBe(1);
        expect(said).toMatch(message);
        expect(said).toMatch(/nothing was changed/);
        expect(snapshot(node)).toEqual(before);
        expect(nodes.takeCalls().filter((it) => it.includes("restart"))).toEqual([]);
      }
    });
  });

  describe("an invalid configuration is not changed", () => {
    test.each<[string, Readonly<Record<string, string>>, RegExp]>([
      [
        "broken TOML",
        { [CONFIG]: "version = \n" },
        /config.toml is not valid TOML in line 1.*; nothing was changed/,
      ],
      ["a missing import", { [CONFIG]: 'imports = ["/none.toml"]' }, /cannot read \/none.toml: no such file/],
      [
        "a version that 1.x does not read",
        { [CONFIG]: "version = 3\n" },
        /1.7.24 does not read a configuration of version 3/,
      ],
      ["a broken template", { [`${K3S}/config.toml.tmpl`]: "{{ if }}" }, /its blocks are unbalanced/],
      ...[
        [],
        { format: 2, files: [], folders: [] },
        { format: 1, files: [null], folders: [] },
        { format: 1, files: [{ path: 1, kind: "config", sha256: "" }], folders: [] },
        { format: 1, files: [{ path: "/a", kind: "other", sha256: "" }], folders: [] },
        {
          format: 1,
          files: [{ path: "/a", kind: "config", sha256: "", backup: "/etc/shadow" }],
          folders: [],
        },
        { format: 1, files: [], folders: ["a"] },
        { format: 1, files: [], folders: [], keysFolder: ["/"] },
        { format: 1, files: [], folders: [], unit: "--help" },
        { format: 1, files: [], folders: [], pendingSince: "now" },
      ].map((record): [string, Readonly<Record<string, string>>, RegExp] => [
        `the record ${JSON.stringify(record)}`,
        { "var/lib/ctd-decoder/install.json": JSON.stringify(record) },
        /is not a record of an installation/,
      ]),
      ["Talos", { "etc/os-release": 'NAME="Talos"\nID=talos\n' }, /runs talos, .*\n.*system extension/],
      ["Bottlerocket", { "etc/os-release": "ID=bottlerocket\n" }, /runs bottlerocket/],
      [
        "microk8s",
        { "var/snap/microk8s/current/args/containerd.toml": "" },
        /microk8s rewrites its containerd's .*\n.*containerd-template\.toml/,
      ],
      ["NixOS", { "etc/os-release": "ID=nixos\n" }, /virtualisation.containerd.settings/],
    ])("%s", async (_what, files, message) => {
      const node = nodes.make(files);
      const before = snapshot(node);
      const { exit, said } = await nodes.run("install", node, "--restart");
      expect({ exit, said }).toEqual({ exit: 1, said: expect.stringMatching(message) });
      expect(snapshot(node)).toEqual(before);
    });

    test("a node of kind gets the installation and a warning", async () => {
      const node = nodes.make({ "kind/version": "" });
      const { exit, said } = await nodes.run("install", node);
      expect(exit).toBe(3);
      expect(said).toMatch(/warning: this is a node of kind: .*lost/);
    });
  });

  test("--dry-run shows each change as a diff and does nothing", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n\n[debug]\n", "keys/a.pem": "a key" });
    const before = snapshot(node);
    const { exit, said } = await nodes.run(
      "install",
      node,
      "--dry-run",
      "--restart",
      "--keys",
      join(node, "keys"),
    );
    expect(exit).toBe(0);
    expect(said).toContain(` version = 2\n+imports = ["${DROP_IN}"]\n \n [debug]\n`);
    for (const what of [
      `would write /${PROGRAM}`,
      `would write ${DROP_IN}`,
      "would copy the key a.pem",
      "systemctl restart containerd",
    ])
      expect(said).toContain(what);
    expect(snapshot(node)).toEqual(before);
    expect(nodes.takeCalls().filter((it) => it.includes("restart"))).toEqual([]);

    await nodes.run("install", node, "--restart");
    const installed = snapshot(node);
    const undone = await nodes.run("uninstall", node, "--dry-run");
    expect(undone.said).toContain(`would restore /${CONFIG}\n`);
    expect(undone.said).toContain("containerd would need a restart: systemctl restart containerd\n");
    expect(snapshot(node)).toEqual(installed);
  });

  describe("--restart", () => {
    const RESTART = "systemctl restart containerd";
    const restarts = () => nodes.takeCalls().filter((it) => it.includes(" restart "));

    test("restarts containerd when its configuration changed, and only then", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n" });
      nodes.takeCalls();
      expect((await nodes.run("install", node, "--restart")).exit).toBe(0);
      expect(restarts()).toEqual([RESTART]);
      expect(await nodes.run("install", node, "--restart")).toMatchObject({ exit: 0 });
      expect((await nodes.run("install", node)).exit).toBe(0);
      expect(restarts()).toEqual([]);
    });

    test("is done by a later run if it is missing, and until then the exit code is 3", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n" });
      nodes.takeCalls();
      for (let i = 0; i < 2; i++) expect((await nodes.run("install", node)).exit).toBe(3);
      expect(restarts()).toEqual([]);
      expect((await nodes.run("install", node, "--restart")).exit).toBe(0);
      expect(restarts()).toEqual([RESTART]);
      expect((await nodes.run("install", node)).exit).toBe(0);
    });

    test("that fails while containerd still runs is also done by a later run", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n" });
      nodes.onAction("restart", 'echo "Failed to connect to bus" >&2; exit 1');
      nodes.takeCalls();
      const failed = await nodes.run("install", node, "--restart");
      rmSync(join(folder, "restart"));
      expect(failed).toMatchObject({
        exit: 3,
        said: expect.stringMatching(/was not restarted, .*Failed to connect to bus/),
      });
      expect(parse(read(node, CONFIG))).toHaveProperty("imports");
      expect((await nodes.run("install", node)).exit).toBe(3);
      expect(restarts()).toEqual([RESTART]);
      expect((await nodes.run("install", node, "--restart")).exit).toBe(0);
      expect(restarts()).toEqual([RESTART]);
    });

    test("after which containerd does not run undoes everything", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n", [PROGRAM]: "#!Go" });
      const before = snapshot(node);
      nodes.onAction("restart", 'echo "scandir: x" >&2; echo " * ERROR: it fails" >&2; exit 1');
      nodes.onAction("is-active", "exit 3");
      nodes.takeCalls();
      const failed = await nodes.run("install", node, "--restart");
      for (const action of ["restart", "is-active"]) rmSync(join(folder, action));
      expect(failed.exit).toBe(1);
      expect(failed.said).toMatch(
        /did not start with the new configuration and .* either: ERROR: it fails; everything was undone\n.*journalctl --unit containerd/,
      );
      expect(snapshot(node)).toEqual(before);
      expect(restarts()).toEqual([RESTART, RESTART]);
    });

    test("that fails in an upgrade restores the previous program", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n", [PROGRAM]: "#!Go" });
      await nodes.run("install", node, "--restart");
      const installed = snapshot(node);
      put(node, DROP_IN, read(node, DROP_IN).replace(/.*zstd.*\n/g, ""));
      const edited = snapshot(node);
      const newer = nodes.write("newer", FAKE_PROGRAM.replace("9.9.9", "9.9.10"));
      nodes.onAction("restart", "exit 1");
      nodes.onAction("is-active", "exit 3");
      const failed = await nodes.run("install", node, "--restart", "--binary", newer);
      for (const action of ["restart", "is-active"]) rmSync(join(folder, action));
      expect(failed.exit).toBe(1);
      const { [`${DROP_IN.slice(1)}.edited`]: _, ...after } = snapshot(node);
      expect(after).toEqual(edited);
      expect(installed[PROGRAM]).toBe(edited[PROGRAM]);
    });

    test("after which containerd does not run leaves none of the new keys", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n", [`${KEYS}/mine.pem`]: "my key" });
      const keys = join(folder, "refused-keys");
      mkdirSync(keys);
      for (const name of ["first.pem", "second.pem"]) {
        writeFileSync(join(keys, name), name);
        const before = snapshot(node);
        nodes.onAction("restart", "exit 1");
        nodes.onAction("is-active", "exit 3");
        const failed = await nodes.run("install", node, "--restart", "--keys", keys);
        for (const action of ["restart", "is-active"]) rmSync(join(folder, action));
        expect(failed).toMatchObject({ exit: 1, said: expect.stringMatching(/everything was undone/) });
        expect(snapshot(node)).toEqual(before);
        expect((await nodes.run("install", node, "--keys-only", "--keys", keys)).exit).toBe(0);
      }
    });

    test.each([
      ["k3s", K3S, "k3s-agent"],
      ["RKE2", RKE2, "rke2-agent"],
      ["RKE2", RKE2, "rke2-server"],
      ["k3s", K3S, "k3s"],
      ["k0s", K0S, "k0scontroller"],
      ["k0s", K0S, "k0sworker"],
    ])("on %s restarts the unit that the node has", async (_name, path, unit) => {
      const node = nodes.make({ [`${path}/x`]: "", [`etc/systemd/system/${unit}.service`]: "" });
      nodes.takeCalls();
      expect((await nodes.run("install", node, "--restart", "--containerd", "2.1.9")).exit).toBe(0);
      expect(restarts()).toEqual([`systemctl restart ${unit}`]);
      nodes.takeCalls();
      expect((await nodes.run("uninstall", node, "--restart")).exit).toBe(0);
      expect(restarts()).toEqual([`systemctl restart ${unit}`]);
    });

    test.each([
      ["k3s", K3S, "k3s-agent"],
      ["k3s", K3S, "k3s"],
      ["k0s", K0S, "k0sworker"],
      ["containerd", "x", "containerd"],
    ])("on %s with OpenRC restarts the service that the node has", async (_name, path, unit) => {
      const node = nodes.make({ [`${path}/x`]: "", [`etc/init.d/${unit}`]: "", "sbin/openrc-run": "" });
      nodes.takeCalls();
      expect((await nodes.run("install", node, "--restart", "--containerd", "2.1.9")).exit).toBe(0);
      const calls = [
        `rc-service --exists ${unit}`,
        `rc-service ${unit} restart`,
        `rc-service ${unit} status`,
      ];
      expect(nodes.takeCalls()).toEqual(calls);
      expect((await nodes.run("uninstall", node)).exit).toBe(3);
      expect((await nodes.run("uninstall", node, "--restart")).exit).toBe(0);
      expect(nodes.takeCalls()).toContain(`rc-service ${unit} restart`);
    });

    test.each([
      [
        "a missing service",
        "echo not-found; exit 0",
        /the node has no service containerd; nothing was changed/,
      ],
      [
        "a service manager that does not answer",
        "exit 1",
        /cannot reach the service containerd; nothing was changed/,
      ],
    ])("with %s changes nothing", async (_what, script, message) => {
      const node = nodes.make({ [CONFIG]: "version = 2\n" });
      const before = snapshot(node);
      nodes.onAction("show", script);
      const { exit, said } = await nodes.run("install", node, "--restart");
      rmSync(join(folder, "show"));
      expect({ exit, said }).toEqual({ exit: 1, said: expect.stringMatching(message) });
      expect(snapshot(node)).toEqual(before);
    });

    /** Runs a script of bash on this machine, with empty folders in place of those that change, and no other processes. */
    const onThisMachine = (...script: string[]) => {
      const folders = "/etc/containerd /usr/local/bin /var/lib /run";
      const alone = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
      return run({ name: "unshare", command: "unshare", args: [...alone, "bash", "-uc"] }, [
        [`for d in ${folders}; do mkdir -p $d; mount -t tmpfs tmpfs $d; done`, ...script].join("\n"),
        ours.command,
      ]);
    };
    /** Starts a process that /proc shows as a containerd. */
    const START = [
      `/bin/sh -c 'echo containerd >/proc/$$/comm; >/run/up; while :; do sleep 1; done' --config /${CONFIG} &`,
      "until [ -e /run/up ]; do sleep 0.1; done",
    ].join("\n");
    const STOP = "kill -9 $!; wait $!; rm /run/up";
    const INSTALL = '"$0" install --containerd 2.1.9';
    const UNREAD = "note: containerd is not running here: it reads the configuration when it starts\n";

    test("is not missing on this machine where no containerd runs, as in a build of its image", async () => {
      const calls = [`${INSTALL} --dry-run`, INSTALL, INSTALL, '"$0" uninstall'];
      const { stdout, stderr } = await onThisMachine(...calls.map((it) => `${it}; echo "exit code $?"`));
      const [dry, first, second, undone] = stdout.toString().split(/(?<=^exit code .*\n)/m);
      for (const said of [dry, first]) expect(said).toContain(`${UNREAD}exit code 0\n`);
      for (const said of [second, undone]) expect(said).toMatch(/(?<!note.*\n)exit code 0\n$/);
      expect([dry, stderr]).toEqual([expect.not.stringMatching(/restart/), ""]);
    });

    test("is missing on this machine as long as the containerd from before runs", async () => {
      const calls = [INSTALL, STOP, INSTALL, START, '"$0" uninstall'];
      const { stdout, stderr } = await onThisMachine(
        START,
        ...calls.map((it) => `${it}; echo "exit code $?"`),
      );
      expect(stdout.toString().match(/^exit code .*/gm)).toEqual(
        [3, 0, 0, 0, 3].map((code) => `exit code ${code}`),
      );
      expect(stdout.toString()).toContain(`${UNREAD}exit code 0\n`);
      expect(stderr.match(/(?<=error: containerd )\w+ the \w+/g)).toEqual(["reads the new", "drops the old"]);
    });

    test.each([
      ["no service manager", "", /restart containerd the way it was started: neither systemd nor OpenRC/],
      ["systemd", "mkdir -p /run/systemd/system", /restart it by `systemctl restart containerd`/],
    ])("on this machine with %s gets advice that works there", async (_what, prepare, advice) => {
      const { stdout, stderr } = await onThisMachine(
        prepare,
        START,
        `for args in "--restart" "--dry-run" ""; do PATH= ${INSTALL} $args || echo $?; done`,
      );
      const [refused = "", withoutSystemctl = "", pending = "", rest] = stderr
        .split(/^ctd-decoder: (?:error|hint): /m)
        .slice(1);
      expect([refused, pending]).toEqual([
        "systemctl is not on PATH; nothing was changed\n",
        "containerd reads the new configuration only after a restart\n",
      ]);
      expect(withoutSystemctl).toMatch(/^run without --restart, and restart /);
      for (const hint of [withoutSystemctl, rest]) expect(hint).toMatch(advice);
      const command = prepare === "" ? "" : ": systemctl restart containerd";
      expect(stdout.toString()).toContain(`\ncontainerd would need a restart${command}\n`);
      expect(stdout.toString().match(/^\d$/gm)).toEqual(["1", "3"]);
    });

    test("without a service manager changes nothing", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n" });
      const before = snapshot(node);
      const args = ["install", "--root", node, "--binary", nodes.program, "--containerd", "1.7.24"];
      const env = { ...nodes.environment, PATH: mkdtempSync(join(folder, "path-")) };
      const { exit, stderr } = await run(ours, [...args, "--restart"], { env });
      expect([exit, stderr]).toEqual([
        1,
        expect.stringMatching(/nsenter is not on PATH; nothing was changed\n.*run without --restart/),
      ]);
      expect(snapshot(node)).toEqual(before);
    });

    test("that an uninstallation still needs is remembered on a running node", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n", "run/systemd/system/x": "" });
      const before = snapshot(node);
      await nodes.run("install", node, "--restart");
      expect((await nodes.run("uninstall", node)).exit).toBe(3);
      expect(read(node, CONFIG)).toBe("version = 2\n");
      nodes.takeCalls();
      expect((await nodes.run("uninstall", node, "--restart")).exit).toBe(0);
      expect(restarts()).toEqual([RESTART]);
      expect(snapshot(node)).toEqual(before);
    });
  });

  test("a second installation waits for the first", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n", [PROGRAM]: "#!Go" });
    const before = snapshot(node);
    const slow = nodes.write(
      "slow",
      FAKE_PROGRAM.replace(
        "echo",
        "busybox touch /begun; until [ -e /go ]; do busybox sleep 0.1; done; echo",
      ),
    );
    const waiting = () => readdirSync(node).filter((name) => name.startsWith(".ctd-decoder-"));
    const until = async (isTrue: () => boolean) => {
      while (!isTrue()) await sleep(20);
    };
    const first = nodes.run("install", node, "--binary", slow);
    await until(() => existsSync(join(node, "begun")));
    const second = nodes.run("install", node);
    await Promise.race([second, until(() => waiting().length === 2)]);
    put(node, "go", "");
    expect([(await first).said, (await first).exit, (await second).exit]).toEqual([expect.any(String), 3, 3]);
    expect(read(node, PROGRAM)).toBe(FAKE_PROGRAM);
    for (const name of ["begun", "go"]) rmSync(join(node, name));
    await nodes.run("uninstall", node);
    expect(snapshot(node)).toEqual(before);
  });

  test("a dry run of an uninstallation changes nothing, and shows the keys too", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n" });
    const keys = join(folder, "shown-keys");
    mkdirSync(keys);
    writeFileSync(join(keys, "a.pem"), "a key");
    await nodes.run("install", node, "--keys", keys);
    put(node, "usr/local/bin/.ctd-decoder.ctd-decoder-new", "left by a killed installation");
    const before = snapshot(node);
    const { exit, said } = await nodes.run("uninstall", node, "--dry-run");
    expect({ exit, said }).toEqual({
      exit: 0,
      said: expect.stringMatching(/would remove the key a\.pem/),
    });
    expect(snapshot(node)).toEqual(before);
  });

  test.each(["install", "uninstall"] as const)("%s says that it needs root", async (command) => {
    const node = nodes.make({ [CONFIG]: "version = 2\n" });
    if (command === "uninstall") await nodes.run("install", node);
    const before = snapshot(node);
    for (const path of [folder, node]) chmodSync(path, 0o755);
    const args = command === "install" ? ["--binary", nodes.program, "--containerd", "1.7"] : [];
    const user = {
      name: "setpriv",
      command: "setpriv",
      args: ["--reuid=65534", "--clear-groups", ours.command],
    };
    const { exit, stderr } = await run(user, [command, "--root", node, ...args]);
    expect({ exit, stderr }).toEqual({
      exit: 1,
      stderr: expect.stringMatching(/permission denied\n.*run it as root/),
    });
    expect(snapshot(node)).toEqual(before);
  });

  describe("uninstall keeps what changed since", () => {
    test("edits of the configuration", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n" });
      await nodes.run("install", node);
      put(node, CONFIG, `${read(node, CONFIG)}[debug]\n  level = "info" # mine\n`);
      expect((await nodes.run("uninstall", node)).said).toContain(`edited /${CONFIG}\n`);
      expect(read(node, CONFIG)).toBe('version = 2\n[debug]\n  level = "info" # mine\n');
    });

    test("the mode of a configuration that became a link", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n" });
      await nodes.run("install", node);
      put(node, "opt/real.toml", `${read(node, CONFIG)}# mine\n`);
      chmodSync(join(node, "opt/real.toml"), 0o600);
      rmSync(join(node, CONFIG));
      symlinkSync("/opt/real.toml", join(node, CONFIG));
      expect((await nodes.run("uninstall", node)).said).toContain(`edited /${CONFIG}\n`);
      expect(read(node, "opt/real.toml")).toBe("version = 2\n# mine\n");
      expect(statSync(join(node, "opt/real.toml")).mode & 0o777).toBe(0o600);
    });

    test("everything, while a file that it must edit can't be read", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n", [PROGRAM]: "#!Go" });
      const before = snapshot(node);
      await nodes.run("install", node);
      const installed = read(node, CONFIG);
      put(node, CONFIG, `${installed}[`);
      const broken = snapshot(node);
      expect(await nodes.run("uninstall", node)).toMatchObject({
        exit: 1,
        said: expect.stringMatching(
          /config.toml is not valid TOML .*; nothing was changed\n.*repair the file/,
        ),
      });
      expect(snapshot(node)).toEqual(broken);
      put(node, CONFIG, installed);
      expect((await nodes.run("uninstall", node)).exit).toBe(0);
      expect(snapshot(node)).toEqual(before);
    });

    test.each<[string, (backup: string) => void]>([
      ["is gone", () => undefined],
      ["is a folder", (backup) => mkdirSync(backup)],
    ])("a configuration whose backup %s", async (_what, change) => {
      for (const edits of ["", "[debug]\n"]) {
        const node = nodes.make({ [CONFIG]: "version = 2\n# mine\n" });
        await nodes.run("install", node);
        put(node, CONFIG, read(node, CONFIG) + edits);
        rmSync(join(node, `${CONFIG}.before-ctd-decoder`));
        change(join(node, `${CONFIG}.before-ctd-decoder`));
        const { exit, said } = await nodes.run("uninstall", node);
        expect({ exit, said }).toEqual({ exit: 0, said: expect.stringContaining(`edited /${CONFIG}\n`) });
        expect(read(node, CONFIG)).toBe(`version = 2\n# mine\n${edits}`);
        expect(existsSync(join(node, DROP_IN))).toBe(false);
      }
    });

    test("edits of a template", async () => {
      const node = nodes.make({ [`${K3S}/config.toml.tmpl`]: '{{ template "base" . }}\n' });
      await nodes.run("install", node);
      put(node, `${K3S}/config.toml.tmpl`, `${read(node, `${K3S}/config.toml.tmpl`)}# mine\n`);
      await nodes.run("uninstall", node);
      expect(read(node, `${K3S}/config.toml.tmpl`)).toBe('{{ template "base" . }}\n# mine\n');
    });

    test("another program", async () => {
      const node = nodes.make({ [PROGRAM]: "#!Go" });
      await nodes.run("install", node);
      put(node, PROGRAM, "#!newer");
      expect((await nodes.run("uninstall", node)).said).toMatch(
        /ctd-decoder changed since the installation, and was kept/,
      );
      expect(read(node, PROGRAM)).toBe("#!newer");
    });
  });

  describe("keys", () => {
    const secret = (name: string, text: string) => {
      const path = join(folder, `secret-${name}-${Math.random()}`);
      mkdirSync(path);
      writeSecret(path, name, Buffer.from(text));
      return path;
    };

    test("are copied from a Secret for root alone, and leave the node with it", async () => {
      const node = nodes.make({ [`${KEYS}/mine.pem`]: "my key" });
      const [first, second] = [secret("a.pem", "a key"), secret("b.pem", "b key")];
      expect((await nodes.run("install", node, "--keys", first)).said).toMatch(/copied the key a.pem/);
      expect(statSync(join(node, KEYS, "a.pem")).mode & 0o777).toBe(0o600);
      const { said } = await nodes.run("install", node, "--keys-only", "--keys", second);
      expect(said).toBe("copied the key b.pem\nremoved the key a.pem\n");
      expect(keysIn(node)).toEqual(["..ctd-decoder.json", "b.pem", "mine.pem"]);
      expect((await nodes.run("install", node, "--keys-only", "--keys", second)).said).toBe("");
      await nodes.run("uninstall", node);
      expect(readdirSync(join(node, KEYS))).toEqual(["mine.pem"]);
    });

    test("are not copied if they are for signing", async () => {
      const node = nodes.make();
      const from = secret("node.pem", "a key");
      const signing = { ...process.env, COSIGN_PASSWORD: "" };
      await run(ours, ["keygen", "--for", "signing", join(from, "..data/cosign.key")], { env: signing });
      for (const more of [["--dry-run"], []]) {
        const { exit, said } = await nodes.run("install", node, "--keys", from, ...more);
        expect({ exit, said }).toEqual({
          exit: more.length > 0 ? 0 : 3,
          said: expect.stringMatching(/warning: the key cosign\.key is not copied: it is for signing/),
        });
      }
      const only = await nodes.run("install", node, "--keys-only", "--keys", from);
      expect([only.exit, only.said]).toEqual([0, "skipped the key cosign.key: it is for signing\n"]);
      expect(keysIn(node)).toEqual(["..ctd-decoder.json", "cosign.key.pub", "node.pem"]);
    });

    test("leave every folder that they were copied to, which goes too if it is new", async () => {
      const node = nodes.make({ "run/x": "", "opt/keys/mine.pem": "my key" });
      const before = snapshot(node);
      const from = ["--keys", secret("a.pem", "a key")];
      const copyTo = (...path: string[]) => nodes.run("install", node, "--keys-only", ...from, ...path);
      for (const path of ["/foo/keys", "/opt/keys", "/foo/keys"]) await copyTo("--keys-path", path);
      await copyTo();
      const first = await nodes.run("uninstall", node);
      expect(first.said.split("\n").sort()).toEqual([
        "",
        "removed the key /foo/keys/a.pem",
        "removed the key /opt/keys/a.pem",
        "removed the key a.pem",
      ]);
      rmSync(join(node, "etc"), { recursive: true });
      expect(snapshot(node)).toEqual(before);

      await copyTo("--keys-path", "/foo/keys");
      await nodes.run("install", node, ...from);
      const dry = await nodes.run("uninstall", node, "--dry-run");
      expect(dry.said).toMatch(/would remove the key a\.pem\nwould remove the key \/foo\/keys\/a\.pem\n/);
      await nodes.run("uninstall", node);
      expect(snapshot(node)).toEqual(before);
    });

    test("leave the folder that the processors named before", async () => {
      const node = nodes.make({ [CONFIG]: `version = 2\n${TUTORIAL}`, "run/x": "" });
      const before = snapshot(node);
      const from = ["--keys", secret("a.pem", "a key")];
      await nodes.run("install", node, ...from);
      put(node, DROP_IN, read(node, DROP_IN).replaceAll(`/${KEYS}`, "/srv/keys"));
      await nodes.run("install", node, ...from);
      put(node, DROP_IN, read(node, DROP_IN).replaceAll("/srv/keys", "/srv/others"));
      await nodes.run("install", node, ...from);
      const { said } = await nodes.run("uninstall", node);
      expect(said).toMatch(
        /the key a\.pem\nremoved the key \/etc\/\S+\/a\.pem\nremoved the key \/srv\/keys\/a\.pem\n/,
      );
      rmSync(join(node, `${DROP_IN}.edited`), { force: true });
      expect(snapshot(node)).toEqual(before);
    });

    test("stay with --keep-keys", async () => {
      const node = nodes.make();
      await nodes.run("install", node, "--keys", secret("a.pem", "a key"));
      await nodes.run("uninstall", node, "--keep-keys");
      expect(readdirSync(join(node, KEYS))).toEqual(["a.pem"]);
    });

    test("that the node had before are never overwritten or removed", async () => {
      const node = nodes.make({ [`${KEYS}/a.pem`]: "my key", [`${KEYS}/same.pem`]: "same" });
      const from = secret("a.pem", "a key");
      writeFileSync(join(from, "..data/same.pem"), "same");
      const { exit, said } = await nodes.run("install", node, "--keys-only", "--keys", from);
      expect({ exit, said }).toEqual({
        exit: 1,
        said: expect.stringMatching(/other keys of these names, .*a.pem/),
      });
      expect(read(node, `${KEYS}/a.pem`)).toBe("my key");
      await nodes.run("uninstall", node);
      expect(readdirSync(join(node, KEYS)).sort()).toEqual(["a.pem", "same.pem"]);
    });

    test.each<[string, (path: string) => void, RegExp]>([
      ["leads nowhere", (path) => symlinkSync("/none", path), /b\.pem: no such file/],
      ["leads to itself", (path) => symlinkSync(path, path), /b\.pem: too many symbolic links/],
      [
        "is larger than any key",
        (path) => writeFileSync(path, Buffer.alloc(2 ** 21)),
        /b\.pem: it is larger/,
      ],
    ])("all stay when one %s", async (_what, spoil, message) => {
      const node = nodes.make();
      const from = secret("a.pem", "a key");
      const args = ["--keys-only", "--keys", from];
      await nodes.run("install", node, ...args);
      rmSync(join(from, "..data/a.pem"));
      spoil(join(from, "..data/b.pem"));
      const { exit, said } = await nodes.run("install", node, ...args);
      expect({ exit, said }).toEqual({ exit: 1, said: expect.stringMatching(message) });
      expect(read(node, `${KEYS}/a.pem`)).toBe("a key");
    });

    test("are all kept if the folder is missing", async () => {
      const node = nodes.make();
      const from = secret("a.pem", "a key");
      await nodes.run("install", node, "--keys", from);
      rmSync(from, { recursive: true });
      expect((await nodes.run("install", node, "--keys-only", "--keys", from)).exit).toBe(1);
      expect(read(node, `${KEYS}/a.pem`)).toBe("a key");
    });
  });

  describe("on nodes with unusual files", () => {
    const fifo = (node: string, path: string) => {
      mkdirSync(dirname(join(node, path)), { recursive: true });
      execFileSync("mkfifo", [join(node, path)]);
    };

    test("a backup of an unknown installation is kept, and is not taken for the original", async () => {
      const node = nodes.make({
        [CONFIG]: "version = 2\n",
        [`${CONFIG}.before-ctd-decoder`]: "old",
        [`${CONFIG}.before-ctd-decoder.2/x`]: "",
      });
      const before = snapshot(node);
      await nodes.run("install", node);
      expect(read(node, `${CONFIG}.before-ctd-decoder.3`)).toBe("version = 2\n");
      await nodes.run("install", node);
      await nodes.run("uninstall", node);
      expect(snapshot(node)).toEqual(before);
    });

    test("edits of a drop-in are kept when it is uninstalled, and a dry run says so", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n" });
      await nodes.run("install", node);
      const edited = read(node, DROP_IN).replace('"/etc/containerd/ocicrypt/keys"', '"/mine"');
      put(node, DROP_IN, edited);
      const kept = `${DROP_IN}.edited`;
      const dry = await nodes.run("uninstall", node, "--dry-run");
      expect(dry.said).toContain(`note: the edited file would be kept as ${kept}\n`);
      expect(read(node, DROP_IN)).toBe(edited);
      const { said } = await nodes.run("uninstall", node);
      expect(said).toContain(`note: the edited file was kept as ${kept}\n`);
      expect([existsSync(join(node, DROP_IN)), read(node, kept)]).toEqual([false, edited]);
    });

    test("edits of a drop-in that the node had before are kept, too", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n", [DROP_IN.slice(1)]: "version = 2\n" });
      const before = snapshot(node);
      await nodes.run("install", node);
      put(node, DROP_IN, "version = 2 # edited\n");
      await nodes.run("install", node);
      expect(read(node, `${DROP_IN}.edited`)).toBe("version = 2 # edited\n");
      await nodes.run("uninstall", node);
      const { [`${DROP_IN.slice(1)}.edited`]: _, ...after } = snapshot(node);
      expect(after).toEqual(before);
    });

    test("a FIFO as os-release says nothing about the system", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n" });
      fifo(node, "etc/os-release");
      expect((await nodes.run("install", node)).exit).toBe(3);
    });

    test("a FIFO in the place of a file that was installed is replaced", async () => {
      const node = nodes.make({ [CONFIG]: "version = 2\n" });
      await nodes.run("install", node);
      rmSync(join(node, PROGRAM));
      fifo(node, PROGRAM);
      expect((await nodes.run("install", node)).exit).toBe(3);
      expect(read(node, PROGRAM)).toBe(FAKE_PROGRAM);
    });

    test("links that lead out of the node's folder stay inside it", async () => {
      const out = join(folder, "out");
      put(folder, "out/sentinel", "kept");
      const up = "../".repeat(30);
      for (const path of ["run", "var/lib/ctd-decoder", KEYS, `${KEYS}/a.pem`, `${KEYS}/..ctd-decoder-new`]) {
        const node = nodes.make({ [CONFIG]: "version = 2\n", "from/a.pem": "a key" });
        mkdirSync(dirname(join(node, path)), { recursive: true });
        symlinkSync(`${up}${out}${path.includes("keys/") ? "/sentinel" : ""}`, join(node, path));
        await nodes.run("install", node, "--keys", join(node, "from"));
        await nodes.run("uninstall", node);
      }
      expect(snapshot(out)).toEqual({ sentinel: "644 kept" });
    });

    test.each<[string, Readonly<Record<string, string>>, RegExp]>([
      [
        "a folder at the program's path",
        { [`${PROGRAM}/x`]: "" },
        /ctd-decoder is a folder, and the program cannot replace it; nothing was changed\n.*--program \S+ctd-decoder\/ctd-decoder/,
      ],
      [
        "a folder at a name that is needed",
        { "etc/containerd/.ctd-decoder.toml.ctd-decoder-new/x": "" },
        /it already exists; nothing was changed/,
      ],
      [
        "a template whose end is a comment",
        { [`${K3S}/config.toml.tmpl`]: '{{ template "base" . }}\n{{/* \n' },
        /tmpl would not configure \S+tar, whatever is added to it; nothing was changed/,
      ],
    ])("%s is refused", async (_what, files, message) => {
      const node = nodes.make({ [CONFIG]: "version = 2\n", ...files });
      const before = snapshot(node);
      const { exit, said } = await nodes.run("install", node);
      expect({ exit, said }).toEqual({ exit: 1, said: expect.stringMatching(message) });
      expect(snapshot(node)).toEqual(before);
    });

    test("a pattern of folders is not taken for a folder", async () => {
      const node = nodes.make({ [CONFIG]: 'version = 2\nimports = ["/etc/containerd/*/*.toml"]\n' });
      expect((await nodes.run("install", node)).exit).toBe(3);
      expect(parse(read(node, CONFIG))["imports"]).toEqual(["/etc/containerd/*/*.toml", DROP_IN]);
    });

    test("a key that a killed run left half-written is removed", async () => {
      const node = nodes.make({ [`${KEYS}/..ctd-decoder-new`]: "half", "from/a.pem": "a key" });
      await nodes.run("install", node, "--keys-only", "--keys", join(node, "from"));
      expect(keysIn(node)).toEqual(["..ctd-decoder.json", "a.pem"]);
    });
  });

  describe("inside the node's file system", () => {
    test("absolute links stay in it", async () => {
      const node = nodes.make({ "usr/share/containerd/config.toml": "version = 2\n" });
      mkdirSync(join(node, "etc/containerd"), { recursive: true });
      symlinkSync("/usr/share/containerd/config.toml", join(node, CONFIG));
      const before = snapshot(node);
      await nodes.run("install", node);
      expect(parse(read(node, CONFIG))).toEqual({ version: 2, imports: [DROP_IN] });
      expect(read(node, "usr/share/containerd/config.toml")).toBe("version = 2\n");
      await nodes.run("uninstall", node);
      expect(snapshot(node)).toEqual(before);
    });

    /** With a file system of its own at a folder of the node. */
    const inside = (node: string, mount: string, ...args: string[]) =>
      run({ name: "unshare", command: "unshare", args: ["--mount", "sh", "-euc"] }, [
        `cd "$0"; ${mount}; shift; exec "$@"`,
        node,
        "sh",
        ours.command,
        ...["install", "--root", node, "--binary", nodes.program, "--containerd", "1.7", ...args],
      ]);

    test("/opt/bin takes the program where /usr is read-only, unless --program names a place", async () => {
      const node = nodes.make({ "opt/x": "" });
      const readOnly = "mount --bind usr usr; mount -o remount,ro,bind usr";
      const before = snapshot(node);
      const refused = await inside(node, readOnly, "--program", "/usr/bin/ctd-decoder");
      expect(refused).toMatchObject({
        exit: 1,
        stderr: expect.stringMatching(/read-only; nothing was changed\n.*--program/),
      });
      expect(snapshot(node)).toEqual(before);
      expect((await inside(node, readOnly)).exit).toBe(3);
      expect(read(node, "opt/bin/ctd-decoder")).toBe(FAKE_PROGRAM);
      expect(processorsOf(read(node, DROP_IN))[TAR_ID]).toMatchObject({ path: "/opt/bin/ctd-decoder" });
    });

    test.each([
      ["configuration", "etc"],
      ["program", "usr"],
    ])("a %s that can't be replaced is left as it was, with all other files", async (_what, place) => {
      const node = nodes.make({ [CONFIG]: "version = 2\n", [PROGRAM]: "#!Go" });
      const before = snapshot(node);
      const readOnly = `mount --bind ${place} ${place}; mount -o remount,ro,bind ${place}`;
      expect(await inside(node, readOnly, "--program", `/${PROGRAM}`)).toMatchObject({
        exit: 1,
        stderr: expect.stringMatching(/read-only; nothing was changed\n/),
      });
      expect(snapshot(node)).toEqual(before);
    });

    test("a folder mounted with noexec is refused", async () => {
      const node = nodes.make();
      const before = snapshot(node);
      const { exit, stderr } = await inside(node, "mount -t tmpfs -o noexec tmpfs usr");
      expect({ exit, stderr }).toEqual({
        exit: 1,
        stderr: expect.stringMatching(/or a folder mounted noexec/),
      });
      expect(snapshot(node)).toEqual(before);
    });
  });

  describe("wrong usage", () => {
    test.each<[string[], number, RegExp]>([
      [["--binary", "/none"], 1, /cannot read \/none: no such file/],
      [["--keys", "/none"], 1, /cannot read the keys in \/none: no such file/],
      [["--unknown"], 2, /unknown option --unknown/],
      [["--config"], 2, /--config needs a value/],
      [["--root", "/none/none"], 1, /\/none\/none is not a folder/],
      [["--containerd", "nope"], 2, /--containerd takes/],
      [["--program", "x"], 2, /--program takes a path on the node, which must be absolute, not "x"\n/],
      [["--program", ""], 2, /--program takes a path on the node, which must be absolute, not ""\n/],
      [["--config", "./c.toml"], 2, /--config takes a path on the node, .* not "\.\/c\.toml"\n/],
      [["--tenants", "--kubeconfig", "../kc"], 2, /--kubeconfig takes a path on the node, .*"\.\.\/kc"\n/],
      [
        ["--keys-only", "--keys", "/", "--keys-path", "k"],
        2,
        /--keys-path takes a path on the node, .*"k"\n/,
      ],
      [["--watch", "--keys", "/", "--keys-path", "k"], 2, /--keys-path takes a path on the node, .*"k"\n/],
      [["--keys", "/", "--keys-path", "/k"], 2, /--keys-path needs --keys-only or --watch\n/],
      [["--keys-only"], 2, /--keys-only and --watch need --keys/],
    ])("%j is refused", async (args, code, message) => {
      const node = nodes.make();
      const before = snapshot(node);
      const { exit, said } = await nodes.run("install", node, ...args);
      expect({ exit, said }).toEqual({ exit: code, said: expect.stringMatching(message) });
      expect(snapshot(node)).toEqual(before);
    });
  });

  test("--json reports the same", async () => {
    const node = nodes.make();
    const { exit, stdout } = await nodes.run("install", node, "--json");
    expect(exit).toBe(3);
    expect(JSON.parse(stdout.toString())).toMatchObject({
      restart: "pending",
      restartCommand: "systemctl restart containerd",
      files: [{ path: DROP_IN }, { path: `/${CONFIG}` }, { path: `/${PROGRAM}`, isChanged: true }],
    });
    const undone = await nodes.run("uninstall", node, "--json");
    expect(JSON.parse(undone.stdout.toString())).toMatchObject({
      restart: "not needed",
      files: expect.any(Array),
    });
  });
});

describeWith([ours, busybox, root, strace], "ctd-decoder install, killed at each step", {}, () => {
  const folder = temporaryFolder();
  const nodes = new Nodes(folder);
  /** strace counts each system call of each thread by itself: N stands for the Nth of one kind. */
  test.each([
    ["install", ["rename,renameat,renameat2", "mkdir"]],
    ["uninstall", ["rename,renameat,renameat2", "unlink"]],
  ] as const)("a killed %s is finished or undone by the next run", async (command, kinds) => {
    for (const kind of kinds) {
      let steps = 0;
      for (let when = 1; ; when++) {
        const node = nodes.make({ [CONFIG]: "version = 2\n", [PROGRAM]: "#!Go" });
        const before = snapshot(node);
        if (command === "uninstall") await nodes.run("install", node);
        const injected = ["-f", "-qq", "-o", "/dev/null", "-e", `trace=${kind}`];
        const killing = [...injected, "-e", `inject=${kind}:signal=SIGKILL:when=${when}`];
        const program = command === "install" ? ["--binary", nodes.program, "--containerd", "1.7.24"] : [];
        const killed = await run(strace, [...killing, ours.command, command, "--root", node, ...program], {
          env: nodes.environment,
        });
        const isKilled = killed.exit === 137 || killed.signal === "SIGKILL";
        if (when % 2 === 0) await nodes.run("install", node);
        const undone = await nodes.run("uninstall", node);
        expect(undone.exit, `${command} killed at ${kind} ${when}: ${undone.said}`).toBe(0);
        expect(snapshot(node), `${command} killed at ${kind} ${when}`).toEqual(before);
        if (!isKilled) break;
        steps += 1;
      }
      expect(steps, kind).toBeGreaterThan(1);
    }
  });
});

describeWith([ours, busybox, root, strace], "ctd-decoder install, interrupted at each step", {}, () => {
  const nodes = new Nodes(temporaryFolder());

  // A single thread creates the folders. Of a call that several threads make, each would get the signal, and a second signal
  // ends the program at once.
  test("undoes everything and says so, or finishes", async () => {
    let undone = 0;
    for (let when = 1; ; when++) {
      const node = nodes.make({ [CONFIG]: "version = 2\n", [PROGRAM]: "#!Go" });
      const before = snapshot(node);
      const trace = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=mkdir"];
      const program = ["--binary", nodes.program, "--containerd", "1.7.24"];
      const { exit, signal, stderr } = await run(
        strace,
        [
          ...trace,
          ...["-e", `inject=mkdir:signal=SIGINT:when=${when}`],
          ...[ours.command, "install", "--root", node, ...program],
        ],
        { env: nodes.environment },
      );
      if (signal !== "SIGINT" && exit !== 130) {
        expect([exit, DROP_IN.slice(1) in snapshot(node)], `${when}: ${stderr}`).toEqual([3, true]);
        break;
      }
      expect(stderr).toBe("ctd-decoder: interrupted; nothing was changed\n");
      expect(snapshot(node), `${when}`).toEqual(before);
      undone += 1;
    }
    expect(undone).toBeGreaterThan(0);
  });
});

describeWith([ours, root], "ctd-decoder install --watch", {}, () => {
  const folder = temporaryFolder();

  test("ends at SIGTERM with exit code 0", async () => {
    const [keys, node] = [join(folder, "keys"), join(folder, "node")];
    for (const path of [keys, node]) mkdirSync(path);
    writeFileSync(join(keys, "a.pem"), "a key");
    const script =
      '"$0" install --watch --root "$1" --keys "$2" & until [ -e "$1/etc/containerd/ocicrypt/keys/a.pem" ]; do sleep 0.1; done; kill -TERM $!; wait $!';
    const { exit, stderr } = await run({ name: "sh", command: "sh", args: [] }, [
      "-c",
      script,
      ours.command,
      node,
      keys,
    ]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
  });

  const copy = (node: string, keys: string) =>
    run(ours, ["install", "--keys-only", "--root", node, "--keys", keys]);
  const prepare = (name: string) => {
    const [keys, node] = [join(folder, `${name}-keys`), join(folder, `${name}-node`)];
    for (const path of [keys, join(node, KEYS)]) mkdirSync(path, { recursive: true });
    writeFileSync(join(keys, "a.pem"), "a key");
    return { keys, node, target: join(node, KEYS) };
  };

  test("keys that are in step are not written again", async () => {
    const { keys, node, target } = prepare("still");
    expect(await copy(node, keys)).toMatchObject({ exit: 0 });
    const inodes = () => readdirSync(target).map((name) => [name, statSync(join(target, name)).ino]);
    const before = inodes();
    expect(before.map(([name]) => name)).toContain("a.pem");
    expect(await copy(node, keys)).toMatchObject({ exit: 0 });
    expect(inodes()).toEqual(before);
  });

  test.each<[string, (target: string) => void]>([
    ["a copy that is gone", (target) => rmSync(join(target, "a.pem"))],
    ["a copy that others may read", (target) => chmodSync(join(target, "a.pem"), 0o644)],
    ["a list that is gone", (target) => rmSync(join(target, "..ctd-decoder.json"))],
    ["a half-written key", (target) => writeFileSync(join(target, "..ctd-decoder-new"), "a k")],
  ])("%s is mended", async (what, spoil) => {
    const { keys, node, target } = prepare(what);
    expect(await copy(node, keys)).toMatchObject({ exit: 0 });
    const before = snapshot(target);
    spoil(target);
    expect(await copy(node, keys)).toMatchObject({ exit: 0 });
    expect(Object.keys(snapshot(target))).toEqual(Object.keys(before));
    expect(readFileSync(join(target, "a.pem"), "utf8")).toBe("a key");
    expect(statSync(join(target, "a.pem")).mode & 0o777).toBe(0o600);
  });

  test("waits for a process that sees only the keys folder", async () => {
    const { keys, node, target } = prepare("locked");
    const place = join(target, "..ctd-decoder");
    mkdirSync(place);
    const lock = join(place, ".ctd-decoder.lock");
    writeFileSync(lock, `${hostname()} ${process.pid}`);
    const copying = copy(node, keys);
    while (readdirSync(place).length < 2) await sleep(10);
    expect(existsSync(join(target, "a.pem"))).toBe(false);
    rmSync(lock);
    expect(await copying).toMatchObject({ exit: 0 });
    expect(readFileSync(join(target, "a.pem"), "utf8")).toBe("a key");
  });
});
