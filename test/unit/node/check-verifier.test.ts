import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readContainerdConfig } from "../../../src/containerd/config.ts";
import { checkVerifier, withoutVerifier } from "../../../src/node/check-verifier.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { put } from "../../support/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();

function configured(lines: string) {
  const node = new NodeRoot(mkdtempSync(join(base, "root-")));
  put(
    node.folder,
    "/config.toml",
    `version = 3\n[plugins."io.containerd.image-verifier.v1.bindir"]\n${lines}\n`,
  );
  return readContainerdConfig("/config.toml", node);
}

/** What is wrong with these names in the folder of verifiers, of which these cannot run. */
const said = (lines: string, names: readonly string[], broken: readonly string[] = []) => {
  const folder = {
    list: () => names,
    isExecutable: (path: string) => !broken.some((name) => path.endsWith(`/${name}`)),
  };
  return [...checkVerifier(configured(lines), folder)].map(({ message, hint }) => `${message}: ${hint}`);
};

test.each<[setting: string, names: string[], wrong: RegExp[]]>([
  ["", ["ctd-decoder"], []],
  ["", [], [/is empty or missing/]],
  ["", ["another"], [/has no ctd-decoder: other programs decide/]],
  ['bin_dir = "x"', ["ctd-decoder"], [/is "x", not an absolute path/]],
  ['per_verifier_timeout = "1ms"', ["ctd-decoder"], []],
  ['per_verifier_timeout = "0"', ["ctd-decoder"], [/is not a time that a check can keep/]],
  ["max_verifiers = 1", ["ctd-decoder", "x"], []],
  [
    "max_verifiers = 1",
    ["a", "ctd-decoder"],
    [/runs only the first 1 programs of .*, and passes over ctd-decoder/],
  ],
  ["max_verifiers = 0", ["ctd-decoder"], [/runs only the first 0 programs/]],
  ["max_verifiers = -1", ["a", "ctd-decoder"], []],
])("with %j and %j in its folder", (setting, names, wrong) => {
  expect(said(setting, names)).toEqual(wrong.map((it) => expect.stringMatching(it)));
});

test("a program that cannot run is to be removed, or installed again if it is ours", () => {
  expect(said("", ["a", "ctd-decoder"], ["a", "ctd-decoder"])).toEqual([
    expect.stringMatching(/\/a is not an executable file: every pull fails: remove it$/),
    expect.stringMatching(/\/ctd-decoder is not .* fails: run `ctd-decoder install --trust POLICY`$/),
  ]);
});

test.each<[major: number, minor: number, message: RegExp]>([
  [1, 7, /^containerd 1\.7\.0 has no image verifier/],
  [2, 0, /^the CRI plugin of containerd 2\.0\.0 does not call its image verifier/],
  [2, 1, /^none$/],
  [2, 2, /^none$/],
])("containerd %i.%i", (major, minor, message) => {
  const found = withoutVerifier(configured(""), { major, minor, patch: 0 });
  expect(found?.message ?? "none").toMatch(message);
  if (minor === 0) expect(found?.hint).toBe("update containerd to 2.1 or later");
});
