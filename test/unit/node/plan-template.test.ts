import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { distributionOf } from "../../../src/node/distribution.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import type { PlanOptions } from "../../../src/node/plan-file.ts";
import { planRendered, withoutBlock } from "../../../src/node/plan-template.ts";
import { put, putProgram } from "../../support/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();
const FOLDER = "/var/lib/rancher/k3s/agent/etc/containerd";
const RENDERED = `${FOLDER}/config.toml`;
const TEMPLATE = `${FOLDER}/config-v3.toml.tmpl`;
const TAR = "io.containerd.ocicrypt.decoder.v1.tar";
const TAR_TYPE = "application/vnd.oci.image.layer.v1.tar";
const BASE = '{{ template "base" . }}\n';
const VERIFIER = '[plugins."io.containerd.image-verifier.v1.bindir"]';
let node: NodeRoot;

beforeEach(() => {
  node = new NodeRoot(mkdtempSync(join(base, "root-")));
});

const file = (path: string, text: string) => put(node.folder, path, text);
const planned = (more: Partial<PlanOptions> = {}) =>
  planRendered(node, {
    program: "/usr/local/bin/ctd-decoder",
    distribution: distributionOf(node, RENDERED),
    version: { major: 2, minor: 1, patch: 0 },
    ...more,
  });
/** The only change; undefined if there is none. */
const textFor = (more?: Partial<PlanOptions>) => {
  const [change, ...others] = planned(more).changes;
  expect(others).toEqual([]);
  return change !== undefined && "text" in change.content ? change.content.text : undefined;
};
const processor = (id: string, types: readonly string[]) =>
  `[stream_processors."${id}"]\naccepts = ${JSON.stringify(types)}\nreturns = "${TAR_TYPE}"\npath = "ctd-decoder"\n`;

describe("a rendered configuration that imports a folder", () => {
  test.each([
    ["config-v3.toml.d/*.toml", true],
    ["config.toml.d/*.toml", true],
    ["config-v4.toml.d/*.toml", false],
    ["my-config.toml.d/*.toml", false],
    ["config.toml.d.old/*.toml", false],
    ["config.toml.d/more/*.toml", false],
  ])("%s has the processors there: %s", (imports, isThere) => {
    file(
      RENDERED,
      `version = 3\nimports = ["/etc/other.d/*.toml", "${FOLDER}/${imports}"]\nroot = "/data"\n`,
    );
    const { changes, configFile, root } = planned();
    const dropIn = join(FOLDER, imports.replace("*.toml", "ctd-decoder.toml"));
    expect(changes.map(({ path, kind }) => [path, kind])).toEqual(
      isThere ? [[dropIn, "drop-in"]] : [[TEMPLATE, "template"]],
    );
    expect([configFile, root]).toEqual(isThere ? [RENDERED, "/data"] : [TEMPLATE, "/var/lib/containerd"]);
  });

  test("has the gate of tenants there, and has none without", () => {
    const tenants = { flags: new Map(), searchPath: "" };
    for (const path of ["/bin/sh", "/usr/bin/runc"]) putProgram(node.folder, path);
    file(RENDERED, `version = 3\nimports = ["${FOLDER}/config-v3.toml.d/*.toml"]\n`);
    expect(planned({ tenants }).gate?.handlers).toHaveLength(1);
    expect(planned()).not.toHaveProperty("gate");
    file(RENDERED, "version = 3\n");
    expect(() => planned({ tenants })).toThrow(/^k3s here renders runc's options into /);
  });

  test("has the gate of tenants nowhere with containerd 1.x, whose section the distribution writes", () => {
    for (const path of ["/bin/sh", "/usr/bin/runc"]) putProgram(node.folder, path);
    const runtime = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]\n';
    file(RENDERED, `version = 2\nimports = ["${FOLDER}/config.toml.d/*.toml"]\n${runtime}`);
    const version = { major: 1, minor: 7, patch: 24 };
    const tenants = { flags: new Map(), searchPath: "" };
    expect(() => planned({ version, tenants })).toThrow(/^k3s here renders runc's options into /);
  });
});

describe("a template", () => {
  test("gets the processors once", () => {
    const text = textFor() ?? "";
    expect(text).toMatch(/^\{\{ template "base" \. \}\}\n# BEGIN ctd-decoder\n[\s\S]*\n# END ctd-decoder\n$/);
    file(TEMPLATE, text);
    expect(textFor()).toBeUndefined();
    file(TEMPLATE, text.replace("/usr/local/bin", "/usr/bin"));
    expect(textFor()).toBe(text);
  });

  test.each([
    ["", /^# BEGIN/],
    [BASE.trimEnd(), /^\{\{ template "base" \. \}\}\n# BEGIN/],
    [BASE, /^\{\{ template "base" \. \}\}\n# BEGIN/],
  ])("%j gets them on a line of their own", (before, after) => {
    file(TEMPLATE, before);
    expect(textFor()).toMatch(after);
  });

  test("keeps of an operator's processor what ours do not accept", () => {
    const encrypted = `${TAR_TYPE}+encrypted`;
    file(TEMPLATE, `${BASE}${processor("mine", [encrypted, "x"])}${processor("no-longer", [encrypted])}`);
    const text = textFor() ?? "";
    expect(text).toMatch(/^\{\{ template "base" \. \}\}\n# BEGIN/);
    expect(text).toMatch(/\[stream_processors."mine"\]\n {2}accepts = \[\n {4}"x",\n/);
    expect(text).not.toContain("no-longer");
  });

  test("that an older installer made unreadable is mended", () => {
    const right = textFor() ?? "";
    file(TEMPLATE, right.replace("# BEGIN", `${processor(TAR, [])}# BEGIN`));
    expect(textFor()).toBe(right);
  });

  test("has containerd's settings for signatures with a policy and containerd 2.x only", () => {
    const trusted = { trustPolicy: "/policy" };
    const text = textFor(trusted) ?? "";
    expect(text).toMatch(
      /\n\[plugins\."io\.containerd\.image-verifier\.v1\.bindir"\]\n[\s\S]*\n# END ctd-decoder\n$/,
    );
    expect(textFor()).not.toContain(VERIFIER);
    expect(textFor({ ...trusted, version: { major: 1, minor: 7, patch: 0 } })).not.toContain(VERIFIER);
    file(TEMPLATE, `${BASE}${VERIFIER}\nmax_verifiers = 3\n`);
    expect(textFor(trusted)?.split(VERIFIER)).toHaveLength(2);
    file(TEMPLATE, `${BASE}[plugins.other]\nx = 1\n`);
    expect(textFor(trusted)).toContain(VERIFIER);
  });
});

test.each([
  ["a\n# BEGIN ctd-decoder\nb\n# END ctd-decoder\nc\n", "a\nc\n"],
  ["# BEGIN ctd-decoder\nb\n# END ctd-decoder\nc\n", "c\n"],
  ["# BEGIN ctd-decoder\n# END ctd-decoder\n", ""],
])("%j without the installation's block is %j", (text, bare) => {
  expect(withoutBlock(text)).toBe(bare);
});

test.each([
  "a\n",
  "# BEGIN ctd-decoder\nb\n",
  "# END ctd-decoder\n",
  "# END ctd-decoder\n# BEGIN ctd-decoder\n",
])("%j has no block of an installation", (text) => {
  expect(withoutBlock(text)).toBe(text);
});
