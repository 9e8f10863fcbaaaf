import { chmodSync, chownSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { readContainerdConfig } from "../../../src/containerd/config.ts";
import { renderEntry } from "../../../src/node/runtime-entry.ts";
import { reportTenants, type TenantsReport } from "../../../src/node/tenants-report.ts";
import { KubeApiDouble } from "../../support/kube-api.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const TAR = "io.containerd.ocicrypt.decoder.v1.tar";
const LAYER = "application/vnd.oci.image.layer.v1.tar";
const V1_7 = { major: 1, minor: 7, patch: 24 };
const V2_2 = { major: 2, minor: 2, patch: 0 };

describeWith([root], "reportTenants", {}, () => {
  const folder = temporaryFolder();
  const [sealed, entry, settingsFile] = ["sealed", "runc-gate", "tenants.toml"].map((it) =>
    join(folder, it),
  ) as [string, string, string];
  let api: KubeApiDouble;
  let kubeconfig: string;
  beforeAll(async () => {
    api = await KubeApiDouble.start(folder);
    kubeconfig = api.kubeconfig();
  });
  afterAll(() => api.stop());
  beforeEach(() => {
    api.reset();
    rmSync(sealed, { recursive: true, force: true });
    mkdirSync(sealed, { mode: 0o700 });
    writeFileSync(entry, renderEntry({ gate: "/bin/true", runtime: "/bin/true" }));
    chmodSync(entry, 0o755);
    write({ kubeconfig, sealed_dir: sealed });
  });

  const write = (settings: Record<string, string>) =>
    writeFileSync(
      settingsFile,
      Object.entries(settings)
        .map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`)
        .join(""),
    );

  interface Configured {
    readonly args?: readonly string[];
    readonly binary?: string;
    readonly more?: string;
    readonly version?: typeof V1_7;
  }
  const report = async ({ args, binary = entry, more = "", version = V1_7 }: Configured = {}) => {
    const flags = ["--tenant-keys", "kubelet", "--sealed-dir", sealed, "--kubeconfig", kubeconfig];
    const section = version.major < 2 ? "io.containerd.grpc.v1.cri" : "io.containerd.cri.v1.runtime";
    const path = join(folder, "config.toml");
    writeFileSync(
      path,
      `version = ${version.major < 2 ? 2 : 3}
[stream_processors."${TAR}"]
accepts = ["${LAYER}+encrypted"]
returns = "${LAYER}"
path = "/usr/local/bin/ctd-decoder"
args = ${JSON.stringify(args ?? flags)}
[stream_processors."${TAR}.gzip"]
[plugins."${section}".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
options.BinaryName = ${JSON.stringify(binary)}
${more}`,
    );
    const config = readContainerdConfig(path);
    return await reportTenants({ config, version, environment: {}, settingsFile });
  };
  const said = (it: TenantsReport | undefined) =>
    it?.findings.map(({ severity, message }) => `${severity}: ${message}`) ?? [];

  test("a node without tenants has none", async () => {
    expect(await report({ args: [], binary: "runc" })).toBeUndefined();
  });

  test("a node that isolates its tenants is healthy", async () => {
    api.pods.push({ namespace: "a", name: "p", secrets: ["s"] });
    const { findings, ...facts } = (await report()) ?? {};
    expect(findings).toEqual([]);
    expect(facts).toMatchObject({
      node: "node-1",
      kubernetes: "v1.34.2",
      pods: 1,
      gates: ["runc"],
      sealedChains: 0,
    });
  });

  test("a node without its folder of records has sealed no chain", async () => {
    rmSync(sealed, { recursive: true });
    expect((await report())?.sealedChains).toBe(0);
    mkdirSync(join(sealed, "00".repeat(32)), { recursive: true, mode: 0o700 });
    expect((await report())?.sealedChains).toBe(1);
  });

  test("no connection to the API server is left open", async () => {
    await report();
    while ((await api.connections()) > 0) await sleep(5);
  });

  test("what the kubelet's credentials may read is tried", async () => {
    api.authorizer = "none";
    expect(said(await report())).toEqual([
      expect.stringMatching(/^error: .*may read Secrets that no Pod of this node names/),
    ]);
    api.authorizer = "Node before 1.32";
    expect(said(await report())).toEqual(["note: the kubelet's credentials list the Pods of all nodes"]);
    api.fault = (_, response) => {
      response.destroy();
      return true;
    };
    expect(said(await report())).toEqual([expect.stringMatching(/^error: the API server .* can't be asked/)]);
  });

  test.each<[string, () => unknown, Configured, RegExp]>([
    [
      "runc without the gate",
      () => 0,
      { binary: "/usr/sbin/runc" },
      /^error: the runtime runc starts containers without the gate/,
    ],
    ["an entry that cannot run", () => chmodSync(entry, 0o644), {}, /^error: .*is not an executable/],
    ["a folder that others may read", () => chmodSync(sealed, 0o755), {}, /^error: .*the mode 0700/],
    ["a folder of another user", () => chownSync(sealed, 1234, 0), {}, /^error: .* must belong to root/],
    ["no folder", () => rmSync(sealed, { recursive: true }), {}, /^error: .*no layer can be sealed/],
    ["different folders", () => write({ kubeconfig }), {}, /^error: .*and the gate reads \/var\/lib/],
    [
      "different kubeconfigs",
      () => write({ sealed_dir: sealed }),
      {},
      /^error: the decoder and the gate read different kubeconfigs/,
    ],
    ["settings that are wrong", () => write({ x: "y" }), {}, /^error: .*"x" is not a setting/],
    ["keys without records", () => 0, { args: ["--tenant-keys", "kubelet"] }, /^error: .*no --sealed-dir/],
    [
      "a record that cannot be read",
      () => {
        mkdirSync(join(sealed, "00".repeat(32)));
        writeFileSync(join(sealed, "00".repeat(32), "x.json"), "{");
      },
      {},
      /^error: the seal records in .* can't be read/,
    ],
    [
      "a runtime that has no gate",
      () => 0,
      {
        more: '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]\nruntime_type = "io.containerd.kata.v2"\n',
      },
      /^warning: the runtime kata .* has no gate/,
    ],
  ])("%s is named", async (_what, change, configured, message) => {
    change();
    const findings = said(await report(configured));
    expect(
      findings.filter((it) => message.test(it)),
      findings.join("\n"),
    ).toHaveLength(1);
  });

  test("the NRI plugin stands for the gate where containerd requires it and no Pod can do without", async () => {
    const validator = `[plugins."io.containerd.nri.v1.nri".default_validator]
enable = true
required_plugins = ["ctd-decoder"]
`;
    const options = { binary: "/usr/sbin/runc", more: validator, version: V2_2 };
    expect(said(await report(options))).toEqual([]);
    const tolerant = {
      ...options,
      more: `${validator}tolerate_missing_plugins_annotation = "x.example/skip"\n`,
    };
    expect(said(await report(tolerant)).join("\n")).toMatch(/^error: a Pod's annotation x.example\/skip/);
    expect(said(await report({ ...options, version: { ...V2_2, minor: 1 } })).join("\n")).toMatch(
      /without the gate/,
    );
  });
});
