import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type Job, prepare } from "../../../src/node/job.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { put as putFile, putProgram } from "../../support/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const CONFIG = "/etc/containerd/config.toml";
const DROP_IN = "/etc/containerd/ctd-decoder.toml";
const PROGRAM = "/usr/local/bin/ctd-decoder";
const K3S = "/var/lib/rancher/k3s/agent/etc/containerd";
const TAR = "io.containerd.ocicrypt.decoder.v1.tar";
const V1_7 = { major: 1, minor: 7, patch: 24 };
const base = temporaryFolder();
let node: NodeRoot;

beforeEach(() => {
  node = new NodeRoot(mkdtempSync(join(base, "root-")));
});

const put = (path: string, text: string) => putFile(node.folder, path, text);

function planned(change: Partial<Parameters<typeof prepare>[1]> = {}): Promise<Job> {
  const options = { root: node.folder, binary: "/bin/true", version: V1_7, restart: false, isDryRun: true };
  return prepare(node, { ...options, environment: process.env, ...change });
}

function textOf({ changes }: Job, path: string): string | undefined {
  const content = changes.find((it) => it.path === path)?.content;
  return content !== undefined && "text" in content ? content.text : undefined;
}

const pathsOf = ({ changes }: Job) => changes.map(({ path }) => path);
const processor = (id: string, lines = "") =>
  `[stream_processors."${id}"]\naccepts = ["application/vnd.oci.image.layer.v1.tar+encrypted"]\nreturns = "application/vnd.oci.image.layer.v1.tar"\n${lines}`;

describe("a configuration that is a file", () => {
  test("imports the drop-in", async () => {
    put(CONFIG, "version = 2\n");
    const job = await planned();
    expect(pathsOf(job)).toEqual([DROP_IN, CONFIG, PROGRAM]);
    expect(textOf(job, CONFIG)).toContain(DROP_IN);
    expect(textOf(job, DROP_IN)).toContain(TAR);
  });

  test("may have a superfluous slash in its path, which a record does not accept", async () => {
    put(CONFIG, "version = 2\n");
    expect(pathsOf(await planned({ configFile: `/${CONFIG}` }))).toEqual([DROP_IN, CONFIG, PROGRAM]);
  });

  test("that imports it already stays as it is", async () => {
    put(CONFIG, `version = 2\nimports = ["${DROP_IN}"]\n`);
    put(DROP_IN, "");
    expect(pathsOf(await planned())).toEqual([DROP_IN, PROGRAM]);
    put(CONFIG, 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n');
    expect(pathsOf(await planned())).toEqual(["/etc/containerd/conf.d/ctd-decoder.toml", PROGRAM]);
  });

  test("that is right already needs no restart", async () => {
    put(CONFIG, "version = 2\n");
    const first = await planned();
    expect(first.needsRestart).toBe(true);
    for (const path of [CONFIG, DROP_IN]) put(path, textOf(first, path) ?? "");
    expect((await planned()).needsRestart).toBe(false);
  });

  test("of a system that cannot be changed, or that rewrites it, is refused", async () => {
    await expect(planned({ configFile: "/var/snap/microk8s/x.toml" })).rejects.toThrow(/^microk8s rewrites /);
    put("/etc/os-release", "ID=talos\n");
    await expect(planned()).rejects.toThrow(/^the node runs talos, /);
  });

  test("that k0s writes is checked as it will be", async () => {
    put("/etc/k0s/x", "");
    expect(pathsOf(await planned())).toEqual(["/etc/k0s/containerd.d/ctd-decoder.toml", PROGRAM]);
  });

  test("whose later file overrides a processor is refused", async () => {
    put(CONFIG, 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n');
    put("/etc/containerd/conf.d/zz.toml", processor(TAR, 'path = "another"\n'));
    await expect(planned()).rejects.toMatchObject({
      code: "CONFIG",
      message: expect.stringMatching(/conf\.d\/zz\.toml would override \S+$/),
    });
  });
});

describe("what an operator has configured", () => {
  const configured = async (lines: string) => {
    put(CONFIG, `version = 2\n${processor(TAR, `path = "ctd-decoder"\n${lines}`)}`);
    const job = await planned();
    const { args, env } = job.plan.wanted.processors.get(TAR) ?? {};
    return { args, env, keysPath: job.plan.wanted.keysPath, warnings: job.plan.findings.length };
  };
  const OURS = ["--decryption-keys-path", "/etc/containerd/ocicrypt/keys"];
  const PROVIDERS = "OCICRYPT_KEYPROVIDER_CONFIG=/etc/containerd/ocicrypt/ocicrypt_keyprovider.conf";

  test("stays, with its own keys", async () => {
    expect(await configured('args = ["--decryption-keys-path", "/k", "--release", "stream"]')).toMatchObject({
      args: ["--decryption-keys-path", "/k", "--release", "stream"],
      env: [PROVIDERS],
      warnings: 0,
    });
  });

  test("stays beside the usual keys and providers", async () => {
    const lines = 'args = ["--release", "stream"]\nenv = ["LANG=C"]';
    expect(await configured(lines)).toMatchObject({
      args: [...OURS, "--release", "stream"],
      env: [PROVIDERS, "LANG=C"],
    });
  });

  test("stays with its own providers", async () => {
    const lines = 'env = ["OCICRYPT_KEYPROVIDER_CONFIG=/p", "LANG=C"]';
    expect(await configured(lines)).toMatchObject({
      args: OURS,
      env: ["OCICRYPT_KEYPROVIDER_CONFIG=/p", "LANG=C"],
    });
  });

  test("is replaced, with a warning, if it runs another program", async () => {
    put(CONFIG, `version = 2\n${processor(TAR, 'path = "another"\nargs = ["--release", "stream"]\n')}`);
    const { wanted, findings } = (await planned()).plan;
    expect([wanted.processors.get(TAR)?.args, findings.length]).toEqual([OURS, 1]);
  });

  test("is replaced, with a warning, where the decoder would refuse it", async () => {
    expect(await configured('args = ["--no-such-flag"]')).toMatchObject({ args: OURS, warnings: 1 });
  });

  test("under another ID no longer accepts the types", async () => {
    put(CONFIG, `version = 2\n${processor("mine", 'path = "ctd-decoder"\n')}`);
    const { reduced } = (await planned()).plan.wanted;
    expect([...reduced].map(([id, { accepts }]) => [id, accepts])).toEqual([["mine", []]]);
    put(CONFIG, `version = 2\n${processor("mine", 'path = "another"\n')}`);
    await expect(planned()).rejects.toThrow(/^mine in .* runs "another" for /);
    put(CONFIG, `version = 2\n${processor("mine", 'path = "/opt/another"\n')}`);
    expect((await planned({ program: "/opt/another" })).plan.wanted.reduced.size).toBe(1);
  });
});

describe("a configuration that k3s renders", () => {
  const V2_1 = { major: 2, minor: 1, patch: 0 };
  const [template, old] = [`${K3S}/config-v3.toml.tmpl`, `${K3S}/config.toml.tmpl`];
  beforeEach(() => put(`${K3S}/k3s-has-run`, ""));

  test("gets its processors from a template", async () => {
    const job = await planned({ version: V2_1 });
    expect(pathsOf(job)).toEqual([template, PROGRAM]);
    expect(textOf(job, template)).toMatch(/^\{\{ template "base" \. \}\}\n# BEGIN ctd-decoder\n/);
  });

  test("has its older template, where containerd 2.x reads that", async () => {
    put(old, '{{ template "base" . }}\n');
    expect(pathsOf(await planned({ version: V2_1 }))).toEqual([old, PROGRAM]);
    put(template, '{{ template "base" . }}\n');
    expect(pathsOf(await planned({ version: V2_1 }))).toEqual([template, PROGRAM]);
  });

  test("has its older template with containerd 1.x", async () => {
    expect(pathsOf(await planned())).toEqual([old, PROGRAM]);
  });

  test("with an operator's processor in the template is written with ours in its place", async () => {
    put(old, `{{ template "base" . }}\n${processor(TAR, 'path = "ctd-decoder"\n')}`);
    const text = textOf(await planned(), old) ?? "";
    expect(text.split(`stream_processors."${TAR}"]`)).toHaveLength(2);
  });

  test("with one that cannot be cut out is refused", async () => {
    const inline = `stream_processors = { "${TAR}" = { accepts = [], returns = "", path = "ctd-decoder" } }\n`;
    put(old, `${inline}{{ template "base" . }}\n`);
    await expect(planned()).rejects.toMatchObject({
      code: "CONFIG",
      message: expect.stringMatching(/^cannot remove \S+ from .* safely$/),
    });
  });
});

describe("a node of several tenants", () => {
  const RUNTIMES = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes';
  const runtime = (name: string, binary: string) =>
    `${RUNTIMES}.${name}]\nruntime_type = "io.containerd.runc.v2"\noptions.BinaryName = "${binary}"\n`;
  const tenants = { kubeconfig: "/kubelet.conf" };
  beforeEach(() => {
    put("/kubelet.conf", "");
    for (const path of ["/bin/sh", "/usr/bin/runc", "/usr/bin/crun", "/opt/bin/runc"])
      putProgram(node.folder, path);
  });

  test("has a gate before each of its runtimes", async () => {
    const three = [
      runtime("runc", "runc"),
      runtime("again", "/usr/bin/runc"),
      runtime("crun", "/usr/bin/crun"),
    ];
    put(CONFIG, `version = 2\n${three.join("")}`);
    const job = await planned({ tenants });
    expect(job.plan.gate?.entries.map(({ path }) => path)).toEqual([
      "/usr/local/bin/runc-gate",
      "/usr/local/bin/crun-gate",
    ]);
    expect(textOf(job, CONFIG)?.match(/BinaryName = "\/usr\/local\/bin\/(?:runc|crun)-gate"/g)).toHaveLength(
      3,
    );
  });

  test("whose later file starts a runtime without the gate is refused", async () => {
    const version = { major: 2, minor: 1, patch: 0 };
    const section = (name: string, binary: string) =>
      runtime(name, binary).replace("io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime");
    put(CONFIG, 'version = 3\nimports = ["/etc/containerd/conf.d/*.toml"]\n');
    put("/etc/containerd/conf.d/aa.toml", `version = 3\n${section("runc", "/usr/bin/runc")}`);
    expect((await planned({ version, tenants })).plan.gate?.entries).toHaveLength(1);
    put("/etc/containerd/conf.d/zz.toml", `version = 3\n${section("runc", "/usr/bin/runc")}`);
    await expect(planned({ version, tenants })).rejects.toThrow(
      "a later file would override the runtime runc",
    );
  });

  test("whose runtimes share a name is refused", async () => {
    put(CONFIG, `version = 2\n${runtime("runc", "/usr/bin/runc")}${runtime("other", "/opt/bin/runc")}`);
    await expect(planned({ tenants })).rejects.toThrow(/^two runtimes have the name of \/opt\/bin\/runc$/);
  });

  test("whose distribution writes the options of runc itself is refused", async () => {
    put(`${K3S}/k3s-has-run`, "");
    await expect(planned({ tenants })).rejects.toThrow(/^k3s here renders runc's options into /);
  });

  test("without a kubelet is refused", async () => {
    put(CONFIG, "version = 2\n");
    await expect(planned({ tenants: { kubeconfig: "/none" } })).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});
