import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { readContainerdConfig } from "../../../src/containerd/config.ts";
import { reportTrust } from "../../../src/node/trust-report.ts";
import { FakeTimers } from "../../support/fake-timers.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner, writeSettings } from "../../support/trust.ts";

const V1_7 = { major: 1, minor: 7, patch: 24 };
const V2_2 = { major: 2, minor: 2, patch: 0 };

describeWith([root], "reportTrust", {}, () => {
  const base = temporaryFolder();
  let [folder, binDir, link, settingsFile] = ["", "", "", ""];

  beforeEach(() => {
    folder = mkdtempSync(join(base, "node-"));
    binDir = join(folder, "verifiers");
    link = join(binDir, "ctd-decoder");
    mkdirSync(binDir);
    policy({ default: [{ type: "reject" }] });
    settingsFile = writeSettings(folder, { policy: join(folder, "policy.json"), deadline: "5s" });
    verifier("echo 'trust: policy: the policy rejects it'; exit 1");
  });

  const policy = (value: object) => writeFileSync(join(folder, "policy.json"), JSON.stringify(value));

  /** What containerd runs in place of this program. */
  function verifier(script: string): void {
    writeFileSync(link, `#!/bin/sh\n${script}\n`);
    chmodSync(link, 0o755);
  }

  /** @param more lines of containerd's configuration */
  async function report(version: typeof V2_2 | undefined = V2_2, more = "") {
    const path = join(folder, "config.toml");
    const lines = ["version = 3", '[plugins."io.containerd.image-verifier.v1.bindir"]'];
    writeFileSync(path, [...lines, `bin_dir = ${JSON.stringify(binDir)}`, more, ""].join("\n"));
    const config = readContainerdConfig(path);
    return await reportTrust({ config, version, environment: process.env, settingsFile });
  }

  const errors = async (version?: typeof V2_2) =>
    ((await report(version))?.findings ?? []).flatMap(({ severity, message }) =>
      severity === "error" ? [message] : [],
    );

  test("a node without signature checks has none", async () => {
    rmSync(settingsFile);
    rmSync(link);
    expect(await report()).toBeUndefined();
  });

  test("one processor with a gate is a node that shall check, and the other is an error", async () => {
    rmSync(settingsFile);
    rmSync(link);
    const gate = join(folder, "policy.json");
    const processor = `[stream_processors."io.containerd.ocicrypt.decoder.v1.tar"]
      accepts = ["application/vnd.oci.image.layer.v1.tar+encrypted"]
      returns = "application/vnd.oci.image.layer.v1.tar"
      path = "ctd-decoder"
      args = ["--trust-policy", ${JSON.stringify(gate)}]`;
    const { settings, hasGate, findings } = (await report(V2_2, processor)) ?? {};
    expect([settings, hasGate]).toEqual([gate, false]);
    expect(findings).toContainEqual({
      severity: "error",
      message: expect.stringMatching(/^io\.containerd\.ocicrypt\.decoder\.v1\.tar\.gzip decrypts without /),
      hint: expect.any(String),
    });
  });

  test("at most eight registries of the policy are asked", async () => {
    const signed = [{ type: "sigstoreSigned", keyPath: join(folder, "key.pub") }];
    writeFileSync(join(folder, "key.pub"), newSigner().publicKey);
    // Nothing listens on the first ports.
    const docker = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`127.0.0.1:${i + 1}`, signed]));
    policy({ default: [{ type: "reject" }], transports: { docker } });
    const { findings = [] } = (await report()) ?? {};
    expect(
      findings.filter(({ message }) => /^signatures in .* can't be read now/.test(message)),
    ).toHaveLength(8);
  });

  test("a node that checks names its policy and its folder of verifiers", async () => {
    expect(await report()).toMatchObject({
      settings: settingsFile,
      policy: join(folder, "policy.json"),
      binDir,
      hasGate: false,
    });
    expect(await errors()).toEqual([]);
  });

  test("containerd 1.x has no verifiers", async () => {
    expect(await report(V1_7)).not.toHaveProperty("binDir");
    expect(await errors(V1_7)).toEqual([expect.stringMatching(/has no image verifier/)]);
  });

  test.each(["", "verifiers"])(
    "a folder of verifiers %j, which is not absolute, is one error",
    async (path) => {
      // containerd's working directory is another one: a program in ours must not be called.
      const before = process.cwd();
      process.chdir(folder);
      onTestFinished(() => process.chdir(before));
      verifier("exit 0");
      binDir = path;
      expect(await errors()).toEqual([
        expect.stringMatching(/^bin_dir of the image verifier is .* not an absolute path/),
      ]);
    },
  );

  test("break-glass that applies now is a warning, and so is a line without effect", async () => {
    const path = join(folder, "break-glass");
    settingsFile = writeSettings(folder, {
      policy: join(folder, "policy.json"),
      deadline: "5s",
      break_glass: path,
    });
    const lines = [
      "# comment",
      "until 9998-12-31T00:00:00Z scope registry.test reason keys are lost",
      "until 2001-12-31T00:00:00Z scope registry.test reason long ago",
      "until 9998-02-31T00:00:00Z scope registry.test reason no such day",
      "until tomorrow scope registry.test reason soon",
    ];
    writeFileSync(path, lines.join("\n"));
    const findings = (await report())?.findings ?? [];
    expect(findings.filter(({ message }) => /exception|not checked until/.test(message))).toEqual([
      expect.objectContaining({
        severity: "warning",
        message: "images of registry.test are not checked until 9998-12-31T00:00:00.000Z: keys are lost",
      }),
      expect.objectContaining({ severity: "warning", message: `line 4 of ${path} makes no exception` }),
      expect.objectContaining({ severity: "warning", message: `line 5 of ${path} makes no exception` }),
    ]);
    chmodSync(path, 0o666);
    expect(await errors()).toContainEqual(expect.stringMatching(/others than root may write/));
  });

  test("a verifier that others may change is an error", async () => {
    chmodSync(link, 0o777);
    expect(await errors()).toEqual([expect.stringMatching(/others than root may write/)]);
  });

  test("a node whose processors all have the gate lacks none", async () => {
    const gate = `"--trust-policy", ${JSON.stringify(join(folder, "policy.json"))}`;
    const processors = ["tar", "tar.gzip"].map(
      (name) => `[stream_processors."io.containerd.ocicrypt.decoder.v1.${name}"]
        accepts = ["application/vnd.oci.image.layer.v1.${name.replace(".", "+")}+encrypted"]
        path = "ctd-decoder"
        args = [${gate}]`,
    );
    const { hasGate, findings = [] } = (await report(V2_2, processors.join("\n"))) ?? {};
    expect(hasGate).toBe(true);
    expect(findings.filter(({ message }) => /without --trust-policy/.test(message))).toEqual([]);
  });

  test("what a policy says without an effect is found", async () => {
    policy({ default: [{ type: "insecureAcceptAnything" }] });
    verifier("exit 0");
    const { findings = [] } = (await report()) ?? {};
    expect(findings.some(({ severity }) => severity === "warning")).toBe(true);
  });

  test("an empty folder of verifiers is an error", async () => {
    rmSync(link);
    expect(await errors()).toEqual([expect.stringMatching(/ is empty or missing/)]);
  });

  test.each([
    ["accepts everything", "exit 0", /accepted ctd-decoder\.invalid.*, an image that does not exist$/],
    ["refuses in other words", "echo no; exit 1", /does not answer as this program does: no$/],
    ["says nothing", "exit 1", /does not answer as this program does: exit$/],
    ["is killed", "echo 'trust: policy: x'; kill -9 $$", /does not answer as this program does: /],
    [
      "lacks its settings",
      "echo 'trust: config: no policy'; exit 1",
      /refuses every pull: config: no policy$/,
    ],
  ])("a verifier that %s is an error", async (_what, script, message) => {
    verifier(script);
    expect(await errors()).toEqual([expect.stringMatching(message)]);
  });

  test("a verifier has a minute to answer", async () => {
    verifier("exec sleep 1000");
    const timers = new FakeTimers();
    const found = errors();
    await timers.started(1);
    expect(await timers.endOf(found, 60_000)).toEqual({
      status: "fulfilled",
      value: [expect.stringMatching(/does not answer as this program does: deadline$/)],
    });
  });

  test("a verifier may write 64 KiB, and no more", async () => {
    const write = (size: number) => verifier(`printf '%-${size}s' 'trust: policy: x'; exit 1`);
    write(65_536);
    expect(await errors()).toEqual([]);
    write(65_537);
    expect(await errors()).toEqual([expect.stringMatching(/does not answer as this program does: /)]);
  });

  test("one that accepts what the policy accepts is none", async () => {
    policy({ default: [{ type: "insecureAcceptAnything" }] });
    verifier("exit 0");
    expect(await errors()).toEqual([]);
  });

  test("a deadline as long as containerd's is an error", async () => {
    writeSettings(folder, { policy: join(folder, "policy.json"), deadline: "10s" });
    expect(await errors()).toEqual([
      expect.stringMatching(/^the deadline of 10 s is not shorter than containerd's .* of 10 s: /),
    ]);
  });
});
