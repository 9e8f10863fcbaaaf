import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { Nodes, put, snapshot } from "../support/node-root.ts";
import { busybox, describeWith, ours, PROJECT, root } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const CONFIG = "etc/containerd/config.toml";
const DROP_IN = "etc/containerd/ctd-decoder.toml";
const SETTINGS = "etc/containerd/ctd-decoder/tenants.toml";
const ENTRY = "usr/local/bin/runc-gate";
const SEALED = "var/lib/ctd-decoder/sealed";
const K3S = "var/lib/rancher/k3s/agent/etc/containerd";
const OLD = "io.containerd.grpc.v1.cri";
const NEW = "io.containerd.cri.v1.runtime";
const RUNC = { "usr/sbin/runc": "#!runc", "bin/sh": "#!shell" };
const KUBELET = { "etc/kubernetes/kubelet.conf": "{}" };

type Table = Record<string, Record<string, unknown>>;

describeWith([ours, busybox, root], "ctd-decoder install --tenants", { timeout: 60_000 }, () => {
  const nodes = new Nodes(temporaryFolder());
  const read = (node: string, path: string) => readFileSync(join(node, path), "utf8");
  const runtimes = (text: string, section: string): Record<string, Table> => {
    const plugins = parse(text)["plugins"] as Record<string, Record<string, Record<string, unknown>>>;
    return plugins?.[section]?.["containerd"]?.["runtimes"] as Record<string, Table>;
  };
  const make = (files: Readonly<Record<string, string>>) => {
    const node = nodes.make({ ...RUNC, ...KUBELET, ...files });
    for (const path of Object.keys({ ...RUNC, ...files }))
      if (path.includes("bin/")) chmodSync(join(node, path), 0o755);
    return node;
  };
  const install = (node: string, ...args: string[]) => nodes.run("install", node, "--tenants", ...args);

  describe("sets the decoder's flags and the gate, and takes them back", () => {
    const runc = (section: string, more = "") =>
      `[plugins."${section}".containerd.runtimes.runc]\n  runtime_type = "io.containerd.runc.v2"\n${more}`;
    const gated = { runc: { runtime_type: "io.containerd.runc.v2", options: { BinaryName: `/${ENTRY}` } } };
    test.each<[string, string, Record<string, string>, string, string, object]>([
      ["1.6 without runtimes", "1.6.20", { [CONFIG]: "version = 2\n" }, DROP_IN, OLD, gated],
      [
        "1.7 with other settings of the CRI",
        "1.7.24",
        { [CONFIG]: `version = 2\n[plugins."${OLD}"]\n  sandbox_image = "pause"` },
        CONFIG,
        OLD,
        gated,
      ],
      [
        "1.7 with a runtime",
        "1.7.24",
        { [CONFIG]: `version = 2\n# mine\n${runc(OLD)}\n[debug]\n` },
        CONFIG,
        OLD,
        gated,
      ],
      [
        "1.7 with a runtime's options",
        "1.7.24",
        {
          [CONFIG]: `version = 2\n${runc(OLD, `[plugins."${OLD}".containerd.runtimes.runc.options]\n SystemdCgroup = true\n`)}`,
        },
        CONFIG,
        OLD,
        { runc: { ...gated.runc, options: { BinaryName: `/${ENTRY}`, SystemdCgroup: true } } },
      ],
      [
        "1.7 with a runtime in an import",
        "1.7.24",
        {
          [CONFIG]: 'version = 2\nimports = ["/etc/containerd/more.toml"]\n',
          "etc/containerd/more.toml": `version = 2\n${runc(OLD)}`,
        },
        "etc/containerd/more.toml",
        OLD,
        gated,
      ],
      [
        "2.1 with settings of runc, which stay",
        "2.1.9",
        {
          [CONFIG]: `version = 3\n${runc(NEW, `[plugins."${NEW}".containerd.runtimes.runc.options]\n SystemdCgroup = true\n`)}`,
        },
        DROP_IN,
        NEW,
        gated,
      ],
      ["2.1 with a configuration of version 2", "2.1.9", { [CONFIG]: "version = 2\n" }, DROP_IN, OLD, gated],
      [
        "k3s that imports a folder",
        "2.1.9",
        { [`${K3S}/config.toml`]: `version = 3\nimports = ["/${K3S}/config-v3.toml.d/*.toml"]\n` },
        `${K3S}/config-v3.toml.d/ctd-decoder.toml`,
        NEW,
        gated,
      ],
    ])("containerd %s", async (_what, version, files, file, section, expected) => {
      const node = make(files);
      const before = snapshot(node);
      const first = await install(node, "--containerd", version);
      expect(first.exit, first.said).toBe(3);
      expect(runtimes(read(node, file), section)).toEqual(expected);
      expect(read(node, ENTRY)).toBe(readFileSync(join(PROJECT, "deploy/runc-gate"), "utf8"));
      expect(statSync(join(node, ENTRY)).mode & 0o777).toBe(0o755);
      expect(statSync(join(node, SEALED)).mode & 0o777).toBe(0o700);
      expect(existsSync(join(node, SETTINGS))).toBe(false);
      const installed = snapshot(node);
      expect(Object.values(installed).join("\n")).toContain(
        '"--tenant-keys", "kubelet", "--sealed-dir", "/var/lib/ctd-decoder/sealed"]',
      );

      const args = ["--containerd", version];
      for (const again of [await install(node, ...args), await nodes.run("install", node, ...args)]) {
        expect(again.exit).toBe(3);
        expect(again.said).not.toMatch(/wrote/);
        expect(snapshot(node)).toEqual(installed);
      }
      expect((await nodes.run("uninstall", node)).exit).toBe(0);
      expect(snapshot(node)).toEqual(before);
    });
  });

  test("every runtime that calls an OCI runtime gets an entry, and others are named", async () => {
    const runtime = (name: string, type: string, binary: string) =>
      `[plugins."${NEW}".containerd.runtimes.${name}]\n runtime_type = "${type}"\n[plugins."${NEW}".containerd.runtimes.${name}.options]\n BinaryName = "${binary}"\n`;
    const node = make({
      [CONFIG]: `version = 3\n${runtime("crun", "io.containerd.runc.v2", "crun")}${runtime("kata", "io.containerd.kata.v2", "")}`,
      "usr/bin/crun": "#!crun",
    });
    const { said } = await install(node, "--containerd", "2.1.9");
    expect(said).toMatch(/warning: the runtime kata \(io.containerd.kata.v2\) has no gate/);
    expect(runtimes(read(node, DROP_IN), NEW)).toMatchObject({
      runc: { options: { BinaryName: "/usr/local/bin/runc-gate" } },
      crun: { options: { BinaryName: "/usr/local/bin/crun-gate" } },
    });
    expect(read(node, "usr/local/bin/crun-gate")).toContain("runtime='/usr/bin/crun'\n");
  });

  test("the kubelet's kubeconfig and containerd's data folder reach the gate, too", async () => {
    const node = make({ [CONFIG]: 'version = 2\nroot = "/data/containerd"\n', "opt/kubelet.yaml": "{}" });
    const args = ["--kubeconfig", "/opt/kubelet.yaml", "--node-name", "n1"];
    expect((await install(node, ...args)).exit).toBe(3);
    expect(parse(read(node, SETTINGS))).toEqual({
      kubeconfig: "/opt/kubelet.yaml",
      containerd_root: "/data/containerd",
    });
    expect(read(node, DROP_IN)).toContain('"--kubeconfig", "/opt/kubelet.yaml", "--node-name", "n1"]');
    const installed = snapshot(node);
    await install(node);
    expect(snapshot(node)).toEqual(installed);
  });

  describe("changes nothing", () => {
    test.each<[string, Record<string, string>, string[], RegExp]>([
      [
        "without the kubeconfig that is named",
        { "etc/kubernetes/kubelet.conf": "" },
        ["--kubeconfig", "/none"],
        /no such file on the node: \/none, .*; nothing was changed\n.*name another with --kubeconfig/,
      ],
      [
        "where runc is missing",
        {
          [CONFIG]:
            'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.a.options]\nBinaryName="/none"\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.a]\nruntime_type = "io.containerd.runc.v2"\n',
        },
        [],
        /found no \/none on the node, which the runtime a calls/,
      ],
      [
        "on a k3s that renders runc's options itself",
        { [`${K3S}/config.toml`]: "version = 2\n" },
        [],
        /k3s here renders runc's options/,
      ],
      [
        "where the settings of the gate are wrong",
        { [SETTINGS]: "kubeconfg = 1\n" },
        [],
        /"kubeconfg" is not a setting/,
      ],
      [
        "where the settings name another data folder",
        { [SETTINGS]: 'containerd_root = "/data"\n' },
        [],
        /containerd's data are in \/data, and its configuration \/var\/lib\/containerd/,
      ],
      [
        "where an annotation selects a runtime",
        {
          [CONFIG]:
            'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.untrusted_workload_runtime]\nruntime_type = "x"\n',
        },
        [],
        /can't be put before untrusted_workload_runtime/,
      ],
      [
        "where a runtime's options are an inline table",
        {
          [CONFIG]:
            'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]\nruntime_type = "io.containerd.runc.v2"\noptions = { SystemdCgroup = true }\n',
        },
        [],
        /cannot edit \/etc\/containerd\/config.toml safely; nothing was changed\n.*set BinaryName = "\/usr\/local\/bin\/runc-gate"/,
      ],
    ])("%s", async (_what, files, args, message) => {
      const node = make(files);
      const before = snapshot(node);
      const { exit, said } = await install(node, ...args);
      expect({ exit, said }).toEqual({ exit: 1, said: expect.stringMatching(message) });
      expect(snapshot(node)).toEqual(before);
    });

    test("on a node without a shell", async () => {
      const node = make({});
      rmSync(join(node, "bin/sh"));
      const before = snapshot(node);
      expect((await install(node)).said).toMatch(/the node has no \/bin\/sh; nothing was changed/);
      expect(snapshot(node)).toEqual(before);
    });

    test("where a later import would go past the gate", async () => {
      const node = make({
        [CONFIG]: 'version = 3\nimports = ["/etc/containerd/conf.d/*.toml"]\n',
        "etc/containerd/conf.d/zz.toml": `version = 3\n[plugins."${NEW}".containerd.runtimes.runc.options]\nBinaryName = "/usr/sbin/runc"\n`,
      });
      const before = snapshot(node);
      const { exit, said } = await install(node, "--containerd", "2.1.9");
      expect(exit).toBe(1);
      expect(said).toMatch(/a later file would override the runtime runc/);
      expect(snapshot(node)).toEqual(before);
    });
  });

  test("uninstall keeps an operator's edits and gives runtimes back", async () => {
    const node = make({
      [CONFIG]: `version = 2\n[plugins."${OLD}".containerd.runtimes.runc]\n  runtime_type = "io.containerd.runc.v2"\n`,
    });
    await install(node);
    put(node, CONFIG, `${read(node, CONFIG)}[debug]\nlevel = "info"\n`);
    const undone = await nodes.run("uninstall", node);
    expect(undone.said).toContain(`edited /${CONFIG}\n`);
    const text = read(node, CONFIG);
    expect(parse(text)).toMatchObject({ debug: { level: "info" } });
    expect(parse(text)).not.toHaveProperty("imports");
    expect(runtimes(text, OLD)["runc"]?.["options"]).toEqual({ BinaryName: "/usr/sbin/runc" });
    expect(existsSync(join(node, ENTRY))).toBe(false);
  });

  test("uninstall leaves containers that run an entry without a gate until they end", async () => {
    const node = make({ [CONFIG]: "version = 2\n" });
    const before = snapshot(node);
    await install(node);
    const bundle = join(node, "run/containerd/io.containerd.runtime.v2.task/k8s.io/abc");
    mkdirSync(bundle, { recursive: true });
    writeFileSync(join(bundle, "runtime"), `/${ENTRY}`);
    const first = await nodes.run("uninstall", node);
    expect(first.said).toMatch(
      /emptied \/usr\/local\/bin\/runc-gate\n[\s\S]*started through \/usr\/local\/bin\/runc-gate/,
    );
    expect(read(node, ENTRY)).not.toContain("runtime-gate");
    expect(read(node, ENTRY)).toContain('exec "$runtime" "$@"');
    expect((await nodes.run("install", node)).said).not.toContain("runc-gate");
    await nodes.run("uninstall", node);
    rmSync(join(node, "run"), { recursive: true });
    expect((await nodes.run("uninstall", node)).said).toContain(`removed /${ENTRY}\n`);
    expect(snapshot(node)).toEqual(before);
  });

  test("seal records outlive an uninstallation", async () => {
    const node = make({ [CONFIG]: "version = 2\n" });
    await install(node);
    put(node, `${SEALED}/00/x.json`, "{}");
    await nodes.run("uninstall", node);
    expect(existsSync(join(node, SEALED, "00/x.json"))).toBe(true);
  });

  test("options for tenants need --tenants", async () => {
    const node = make({});
    const { exit, said } = await nodes.run("install", node, "--node-name", "n1");
    expect(exit).toBe(2);
    expect(said).toMatch(/--kubeconfig and --node-name need --tenants/);
  });
});
