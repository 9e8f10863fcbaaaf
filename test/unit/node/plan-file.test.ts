import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { FileChange } from "../../../src/node/changes.ts";
import { distributionOf } from "../../../src/node/distribution.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { type ConfigPlan, type PlanOptions, planDropIn, planFile } from "../../../src/node/plan-file.ts";
import { put, putProgram } from "../../support/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();
const CONFIG = "/etc/containerd/config.toml";
const DROP_IN = "/etc/containerd/ctd-decoder.toml";
const PROGRAM = "/usr/local/bin/ctd-decoder";
const TAR_TYPE = "application/vnd.oci.image.layer.v1.tar";
const CRI = { 1: "cri", 2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime" };
const VERIFIER = '[plugins."io.containerd.image-verifier.v1.bindir"]';
const TENANTS = { flags: new Map([["tenant-keys", "kubelet"]]), searchPath: "" };
let node: NodeRoot;

beforeEach(() => {
  node = new NodeRoot(mkdtempSync(join(base, "root-")));
});

const file = (path: string, text: string) => put(node.folder, path, text);
const release = (text: string) => {
  const [major = 0, minor = 0, patch = 0] = text.split(".").map(Number);
  return { major, minor, patch };
};
const optionsFor = (version: string, more: Partial<PlanOptions>): PlanOptions => ({
  program: PROGRAM,
  distribution: distributionOf(node, CONFIG),
  version: release(version),
  ...more,
});
const planned = (version = "1.7.24", more: Partial<PlanOptions> = {}) =>
  planFile(node, optionsFor(version, more));
const textsOf = (changes: readonly FileChange[]) =>
  Object.fromEntries(
    changes.map(({ path, content }) => [path, "text" in content ? content.text : undefined]),
  );
/** Scripts in place of runtimes. Later plans look behind them. */
const putEntries = ({ gate }: ConfigPlan) => {
  for (const [path, text = ""] of Object.entries(textsOf(gate?.entries ?? []))) file(path, text);
};
const handler = (name: string, binary: string, version: 1 | 2 | 3 = 2) =>
  `[plugins."${CRI[version]}".containerd.runtimes.${name}]
runtime_type = "io.containerd.runc.v2"
[plugins."${CRI[version]}".containerd.runtimes.${name}.options]
BinaryName = "${binary}"
`;

describe("a node without a configuration", () => {
  test.each([
    ["1.7.24", 2],
    ["2.0.0", 3],
  ])("with containerd %s gets one of version %i", (version, number) => {
    const { changes, configFile, root, findings } = planned(version);
    expect(changes.map(({ path, kind }) => [path, kind])).toEqual([
      [DROP_IN, "drop-in"],
      [CONFIG, "config"],
    ]);
    const texts = textsOf(changes);
    expect(texts[CONFIG]).toBe(`version = ${number}\nimports = ["${DROP_IN}"]\n`);
    expect(texts[DROP_IN]).toMatch(new RegExp(`^version = ${number}$`, "m"));
    expect({ configFile, root, findings }).toEqual({
      configFile: CONFIG,
      root: "/var/lib/containerd",
      findings: [],
    });
  });
});

describe("the processors go to", () => {
  const IN_FOLDER = "/etc/containerd/conf.d/ctd-decoder.toml";
  test.each<[imports: string, version: string, path: string]>([
    ["/etc/containerd/conf.d/*.toml", "1.6.0", IN_FOLDER],
    ["conf.d/*.toml", "1.6.0", DROP_IN],
    ["conf.d/*.toml", "1.7.0", IN_FOLDER],
    ["conf.d/*.toml", "2.0.0", IN_FOLDER],
    ["/etc/containerd/conf.d/a*.toml", "1.7.0", DROP_IN],
    ["/etc/*/conf.d/*.toml", "1.7.0", DROP_IN],
    ["/etc/containerd/conf.d/ctd-decoder.toml", "1.7.0", DROP_IN],
  ])("a folder that is imported by %s, with containerd %s: %s", (imports, version, path) => {
    file(CONFIG, `version = 2\nimports = ["${imports}"]\n`);
    file(IN_FOLDER, "version = 2\n");
    const { changes } = planned(version);
    expect(changes.map((it) => it.path)).toEqual(path === DROP_IN ? [DROP_IN, CONFIG] : [path]);
  });

  test("a file that is imported already, which needs no other change", () => {
    file(CONFIG, `version = 2\nimports = ["${DROP_IN}"]\n`);
    file(DROP_IN, "");
    expect(planned().changes.map(({ path }) => path)).toEqual([DROP_IN]);
  });
});

test("a configuration whose imports cannot be edited is refused", () => {
  file(CONFIG, 'version = 2\n"import\\u0073" = ["/etc/other.toml"]\n');
  file("/etc/other.toml", "");
  expect(() => planned()).toThrow("cannot add an import to /etc/containerd/config.toml safely");
});

describe("a file with the processors", () => {
  /** Plans twice: with the file that the first plan writes, after an edit. @returns whether it is written anew */
  const isWrittenAnew = (version: string, more: Partial<PlanOptions>, edit = (text: string) => text) => {
    file(DROP_IN, "");
    const plan = planned(version, more);
    const text = textsOf(plan.changes)[DROP_IN] ?? "";
    putEntries(plan);
    file(DROP_IN, edit(text));
    return DROP_IN in textsOf(planned(version, more).changes);
  };
  const replaced = (from: string, to: string) => (text: string) => {
    expect(text).toContain(from);
    return text.replace(from, to);
  };
  beforeEach(() => file(CONFIG, `version = 2\nimports = ["${DROP_IN}"]\n`));

  test("stays as it is, with comments, if it means the same", () => {
    expect(isWrittenAnew("1.7.24", {}, (text) => `# mine\n${text}`)).toBe(false);
    expect(isWrittenAnew("1.7.24", {}, replaced("version = 2", "version = 1"))).toBe(true);
    expect(isWrittenAnew("1.7.24", {}, replaced(`returns = "${TAR_TYPE}+gzip"`, 'returns = "x"'))).toBe(true);
  });

  test("has no version beside a configuration of version 1", () => {
    file(CONFIG, `imports = ["${DROP_IN}"]\n`);
    expect(isWrittenAnew("1.7.24", {})).toBe(false);
    expect(isWrittenAnew("1.7.24", {}, (text) => `version = 2\n${text}`)).toBe(true);
  });

  test("has containerd's settings for signatures with a policy and containerd 2.x only", () => {
    const trusted = { trustPolicy: "/policy" };
    expect(isWrittenAnew("2.1.0", trusted)).toBe(false);
    const timeout = 'per_verifier_timeout = "30s"';
    expect(isWrittenAnew("2.1.0", trusted, replaced(timeout, "max_verifiers = 3"))).toBe(true);
    expect(isWrittenAnew("2.1.0", {}, (text) => `${text}${VERIFIER}\n`)).toBe(false);
    expect(isWrittenAnew("2.1.0", {}, (text) => `${text}${VERIFIER}\nmax_verifiers = 3\n`)).toBe(true);
    file(DROP_IN, "");
    expect(textsOf(planned("2.1.0", trusted).changes)[DROP_IN]).toContain(VERIFIER);
    for (const text of [planned("2.1.0"), planned("1.7.24", trusted)].map(
      (it) => textsOf(it.changes)[DROP_IN],
    ))
      expect(text).not.toContain("image-verifier");
  });

  test("has the entries of tenants for each runtime", () => {
    prepareRuntimes();
    file(CONFIG, `version = 3\nimports = ["${DROP_IN}"]\n${handler("crun", "crun", 3)}`);
    const tenants = { tenants: TENANTS };
    expect(isWrittenAnew("2.1.0", tenants)).toBe(false);
    for (const name of ["runc", "crun"]) {
      const binary = `BinaryName = "/usr/local/bin/${name}-gate"`;
      expect(isWrittenAnew("2.1.0", tenants, replaced(binary, ""))).toBe(true);
    }
  });

  test("leaves another processor of a decoder what it accepts besides", () => {
    const mine = (types: string[]) => `[stream_processors.mine]
accepts = ${JSON.stringify(types)}
returns = "${TAR_TYPE}"
path = "ctd-decoder"
`;
    file(CONFIG, `version = 2\n${mine(["x", `${TAR_TYPE}+encrypted`])}`);
    const { changes, wanted } = planned();
    expect(wanted.reduced.get("mine")?.accepts).toEqual(["x"]);
    expect(textsOf(changes)[DROP_IN]).toMatch(/\[stream_processors."mine"\]\n {2}accepts = \[\n {4}"x",\n/);
  });
});

/** A node with runtimes that a gate can be put before. */
function prepareRuntimes(): void {
  for (const path of ["/bin/sh", "/usr/bin/runc", "/usr/bin/crun"]) putProgram(node.folder, path);
}

describe("with containerd 1.x, the gate's entries go to the file that has the runtimes", () => {
  const binary = 'BinaryName = "/usr/local/bin/runc-gate"';
  beforeEach(prepareRuntimes);

  test("which is the configuration", () => {
    file(CONFIG, `version = 2\n${handler("runc", "runc")}`);
    const { changes, gate } = planned("1.7.24", { tenants: TENANTS });
    const texts = textsOf(changes);
    expect(Object.keys(texts)).toEqual([DROP_IN, CONFIG]);
    expect(texts[CONFIG]).toContain(binary);
    expect(texts[CONFIG]).toContain(`imports = ["${DROP_IN}"]`);
    expect(texts[DROP_IN]).not.toContain(binary);
    expect(gate?.entries.map(({ path }) => path)).toEqual(["/usr/local/bin/runc-gate"]);
  });

  test("which is imported", () => {
    const imported = "/etc/containerd/runtimes.toml";
    file(CONFIG, `version = 2\nimports = ["${imported}"]\nroot = "/data"\n`);
    file(imported, `version = 2\n${handler("runc", "runc")}`);
    const plan = planned("1.7.24", { tenants: TENANTS });
    const texts = textsOf(plan.changes);
    expect(plan.changes.map(({ path, kind }) => [path, kind])).toEqual([
      [DROP_IN, "drop-in"],
      [CONFIG, "config"],
      [imported, "config"],
    ]);
    expect(texts[imported]).toBe(`version = 2\n${handler("runc", "/usr/local/bin/runc-gate")}`);
    expect(plan.root).toBe("/data");
    for (const [path, text = ""] of Object.entries(texts)) file(path, text);
    putEntries(plan);
    expect(planned("1.7.24", { tenants: TENANTS }).changes).toEqual([]);
  });
});

describe("the configuration that k0s writes", () => {
  const K0S = "/etc/k0s/containerd.toml";
  const FOLDER = "/etc/k0s/containerd.d";
  const plannedFor = (version: string, more: Partial<PlanOptions> = {}) =>
    planDropIn(node, FOLDER, { ...optionsFor(version, more), distribution: distributionOf(node, K0S) });

  test("imports the processors, with the version that it has or will have", () => {
    for (const [version, number] of [
      ["1.7.24", 2],
      ["2.1.0", 3],
    ] as const) {
      const { changes, rendered, configFile } = plannedFor(version);
      expect(configFile).toBe(K0S);
      expect(changes.map(({ path, kind }) => [path, kind])).toEqual([
        [`${FOLDER}/ctd-decoder.toml`, "drop-in"],
      ]);
      expect(rendered).toEqual({
        path: K0S,
        kind: "config",
        content: { text: `version = ${number}\nimports = ["${FOLDER}/*.toml"]\n` },
      });
    }
    file(K0S, "version = 2\n");
    expect(plannedFor("2.1.0").rendered?.content).toMatchObject({
      text: expect.stringContaining("version = 2\n"),
    });
  });

  test("is refused for tenants if containerd 1.x has runtimes in it that a drop-in cannot change", () => {
    prepareRuntimes();
    expect(plannedFor("2.1.0", { tenants: TENANTS }).gate?.handlers).toHaveLength(1);
    file(`${FOLDER}/runtimes.toml`, `version = 2\n${handler("runc", "runc")}`);
    expect(() => plannedFor("1.7.24", { tenants: TENANTS })).toThrow(
      /^k0s here renders runc's options into /,
    );
    expect(plannedFor("1.7.24").gate).toBeUndefined();
  });
});
