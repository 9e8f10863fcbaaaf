import { chmodSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { readContainerdConfig } from "../../../src/containerd/config.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { type InstalledFile, NOTHING_INSTALLED } from "../../../src/node/record.ts";
import { planTrust } from "../../../src/node/trust-plan.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner } from "../../support/trust.ts";

const V1_7 = { major: 1, minor: 7, patch: 24 };
const V2_2 = { major: 2, minor: 2, patch: 0 };
const PROGRAM = "/usr/local/bin/ctd-decoder";
const SETTINGS = "/etc/containerd/ctd-decoder/trust.toml";
const VERIFIERS = "/opt/containerd/image-verifier/bin";
const base = temporaryFolder();
const source = join(base, "policy");
let node: NodeRoot;

beforeEach(() => {
  node = new NodeRoot(mkdtempSync(join(base, "root-")));
  put("/config.toml", "version = 3\n");
  mkdirSync(source, { recursive: true });
  policy("/etc/containerd/ctd-decoder/key.pub");
  writeFileSync(join(source, "key.pub"), newSigner().publicKey);
});

function put(path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(join(node.folder, path)), { recursive: true });
  writeFileSync(join(node.folder, path), text);
  chmodSync(join(node.folder, path), mode);
}

function policy(keyPath: string): void {
  const signed = [{ type: "sigstoreSigned", keyPath }];
  const value = { default: [{ type: "reject" }], transports: { docker: { "a.example": signed } } };
  writeFileSync(join(source, "policy.json"), JSON.stringify(value));
}

/** @param isNew whether a policy is given */
async function plan(version = V2_2, isNew = true) {
  const policy = isNew ? join(source, "policy.json") : undefined;
  const config = readContainerdConfig("/config.toml", node);
  return await planTrust(node, { policy, program: PROGRAM, config, version, before: NOTHING_INSTALLED });
}

test("a policy, its keys and the settings are written, and the link to the program", async () => {
  const { files, links } = await plan();
  expect(files.map(({ path }) => path)).toEqual([
    "/etc/containerd/ctd-decoder/key.pub",
    "/etc/containerd/ctd-decoder/policy.json",
    SETTINGS,
  ]);
  // Five sixths of containerd's 10 s.
  expect(files.at(-1)?.content).toEqual({
    text: expect.stringMatching(/^policy = ".*policy\.json"\n#.*\ndeadline = "8s"$/m),
  });
  expect(links).toEqual([{ path: `${VERIFIERS}/ctd-decoder`, kind: "link", content: { linkTo: PROGRAM } }]);
});

test("containerd 1.x gets no link, and a warning, whatever is in the folder of verifiers", async () => {
  put(`${VERIFIERS}/broken`, "");
  const { links, findings } = await plan(V1_7);
  expect(links).toEqual([]);
  expect(findings[0]?.message).toMatch(/has no image verifier/);
});

test("a folder of verifiers with something that cannot run is refused", async () => {
  put(`${VERIFIERS}/broken`, "");
  await expect(plan()).rejects.toMatchObject({
    code: "CONFIG",
    message: expect.stringMatching(/broken is not an executable file: every pull fails$/),
  });
});

test("another program's name in the folder is fine, our name is not", async () => {
  put(`${VERIFIERS}/a-scanner`, "#!/bin/sh\n", 0o755);
  await expect(plan()).resolves.toBeDefined();
  symlinkSync("/bin/true", join(node.folder, VERIFIERS, "ctd-decoder"));
  await expect(plan()).rejects.toThrow(/already exists and is not a link to \/usr\/local\/bin\/ctd-decoder/);
});

test("a link that is ours is replaced", async () => {
  mkdirSync(join(node.folder, VERIFIERS), { recursive: true });
  symlinkSync(PROGRAM, join(node.folder, VERIFIERS, "ctd-decoder"));
  expect((await plan()).links).toHaveLength(1);
});

test("a key that is neither on the node nor beside the policy is refused", async () => {
  policy("/etc/containerd/ctd-decoder/other.pub");
  await expect(plan()).rejects.toThrow(/the policy names .*other\.pub, which the node does not have/);
  put("/etc/containerd/ctd-decoder/other.pub", newSigner().publicKey);
  await expect(plan()).resolves.toBeDefined();
});

test.each([
  ["9s", true],
  ["10s", false],
  ["10", false],
  ["9999ms", true],
  ["1m", false],
])("an operator's deadline of %s beside containerd's 10 s: %s", async (deadline, isShorter) => {
  put(SETTINGS, `policy = "/etc/mine.json"\ndeadline = "${deadline}"\n`);
  if (isShorter) expect((await plan()).files.map(({ path }) => path)).toContain("/etc/mine.json");
  else await expect(plan()).rejects.toThrow(/is not shorter than containerd's per_verifier_timeout/);
});

test("without a new policy, the one on the node stays", async () => {
  expect((await plan(V2_2, false)).files).toEqual([]);
});

test("a key in the policy itself that is none is refused", async () => {
  const withKey = (keyData: string) => {
    const docker = {
      "a.example": [{ type: "sigstoreSigned", keyData: Buffer.from(keyData).toString("base64") }],
    };
    const value = { default: [{ type: "reject" }], transports: { docker } };
    writeFileSync(join(source, "policy.json"), JSON.stringify(value));
  };
  withKey(newSigner().publicKey);
  await expect(plan()).resolves.toBeDefined();
  withKey("junk");
  await expect(plan()).rejects.toMatchObject({ name: "DecoderError", message: expect.stringMatching(/key/) });
});

test("the hint names containerd's time limit in seconds, as an operator may shorten it", async () => {
  put(SETTINGS, 'policy = "/etc/mine.json"\ndeadline = "10s"\n');
  await expect(plan()).rejects.toMatchObject({ hint: "set deadline to less than 10 s" });
});

test("the deadline is a second at least", async () => {
  put(
    "/config.toml",
    'version = 3\n[plugins."io.containerd.image-verifier.v1.bindir"]\nper_verifier_timeout = "1s"\n',
  );
  expect((await plan()).files.at(-1)?.content).toEqual({ text: expect.stringContaining('deadline = "1s"') });
});

test("a policy keeps its extension, and has one on the node in any case", async () => {
  const config = readContainerdConfig("/config.toml", node);
  const pathFor = async (name: string) => {
    writeFileSync(join(source, name), readFileSync(join(source, "policy.json")));
    const options = { program: PROGRAM, config, version: V2_2, before: NOTHING_INSTALLED };
    const { files } = await planTrust(node, { ...options, policy: join(source, name) });
    return files.at(-2)?.path;
  };
  expect(await pathFor("a.yaml")).toBe("/etc/containerd/ctd-decoder/policy.yaml");
  expect(await pathFor("a")).toBe("/etc/containerd/ctd-decoder/policy.json");
});

test("a link that an earlier installation made is replaced wherever it leads, and nothing else is", async () => {
  const path = `${VERIFIERS}/ctd-decoder`;
  mkdirSync(join(node.folder, VERIFIERS), { recursive: true });
  symlinkSync("/bin/other", join(node.folder, path));
  const config = readContainerdConfig("/config.toml", node);
  const plannedAfter = (...files: InstalledFile[]) =>
    planTrust(node, {
      policy: undefined,
      program: PROGRAM,
      config,
      version: V2_2,
      before: { ...NOTHING_INSTALLED, files },
    });
  const link: InstalledFile = { path, kind: "link", sha256: "" };
  const other: InstalledFile = { path: "/other", kind: "link", sha256: "" };
  expect((await plannedAfter(other, link)).links).toHaveLength(1);
  for (const wrong of [other, { ...link, kind: "trust" as const }])
    await expect(plannedAfter(wrong)).rejects.toThrow(/already exists and is not a link to/);
});
