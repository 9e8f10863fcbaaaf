import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { syncKeys } from "../../../src/node/key-sync.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import {
  type InstalledFile,
  type InstallRecord,
  NOTHING_INSTALLED,
  readRecord,
  writeRecord,
} from "../../../src/node/record.ts";
import { renderEntry } from "../../../src/node/runtime-entry.ts";
import { uninstall } from "../../../src/node/uninstall.ts";
import { Nodes, put, snapshot } from "../../support/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();
const nodes = new Nodes(base);
const [CONFIG, PROGRAM] = ["/etc/config.toml", "/usr/bin/program"];
const RECORD = "var/lib/ctd-decoder/install.json";
/** Long after the start of this machine, so that its containerd has not been restarted since. */
const SINCE = Date.now() + 1e9;
let node: NodeRoot;

beforeEach(() => {
  node = new NodeRoot(mkdtempSync(join(base, "root-")));
  mkdirSync(at("run/systemd/system"), { recursive: true });
  for (const action of ["restart", "show"]) rmSync(join(base, action), { force: true });
  nodes.takeCalls();
});

const at = (path: string) => join(node.folder, path);
const undo = (options: Partial<Parameters<typeof uninstall>[0]> = {}) =>
  uninstall({
    root: node.folder,
    keepsKeys: false,
    restart: false,
    isDryRun: false,
    environment: nodes.environment,
    ...options,
  });
/** An installed file. */
function file(path: string, kind: InstalledFile["kind"], text = "ours"): InstalledFile {
  put(node.folder, path, text);
  return { path, kind, sha256: createHash("sha256").update(text).digest("hex") };
}
/** A file that was edited after it was installed. */
function edited(path: string, kind: InstalledFile["kind"], text = "edited"): InstalledFile {
  return { ...file(path, kind, text), sha256: "" };
}
const record = (files: readonly InstalledFile[], more: Partial<InstallRecord> = {}) =>
  writeRecord(node, { ...NOTHING_INSTALLED, files, ...more });

describe("what was installed", () => {
  test("is removed, with the keys that were copied and the record", async () => {
    rmSync(at("run"), { recursive: true });
    mkdirSync(at("etc/keys"), { recursive: true });
    put(base, "secret/key.pem", "key");
    await syncKeys(node, join(base, "secret"), "/etc/keys", false);
    put(node.folder, "etc/.config.toml.ctd-decoder-new", "left by a killed installation");
    const folders = ["/etc", "/etc/keys", "/usr", "/usr/bin", "/var", "/var/lib", "/var/lib/ctd-decoder"];
    await record([file(PROGRAM, "program"), file(CONFIG, "config")], { folders, keysFolder: "/etc/keys" });
    const report = await undo();
    expect(report).toEqual({
      files: [
        { path: CONFIG, action: "removed" },
        { path: PROGRAM, action: "removed" },
      ],
      keys: ["key.pem"],
      restart: "pending",
      restartCommand: "systemctl restart containerd",
      findings: [],
      isDryRun: false,
    });
    expect(snapshot(node.folder)).toEqual({});
  });

  test("stays in a dry run, which needs no lock and writes nothing", async () => {
    put(node.folder, "etc/.config.toml.ctd-decoder-new", "left by a killed installation");
    mkdirSync(at("etc/keys"));
    put(base, "secret/key.pem", "key");
    await syncKeys(node, join(base, "secret"), "/etc/keys", false);
    await record([file(CONFIG, "config")], { keysFolder: "/etc/keys" });
    const before = snapshot(node.folder);
    utimesSync(at("run"), 1, 1);
    expect(await undo({ isDryRun: true })).toMatchObject({
      files: [{ path: CONFIG, action: "removed" }],
      keys: ["key.pem"],
      restart: "pending",
      isDryRun: true,
    });
    expect(snapshot(node.folder)).toEqual(before);
    expect(statSync(at("run")).mtimeMs).toBe(1000);
  });

  test("leaves copied keys, if they are to be kept", async () => {
    mkdirSync(at("etc/containerd/ocicrypt/keys"), { recursive: true });
    put(base, "secret/key.pem", "key");
    await syncKeys(node, join(base, "secret"), "/etc/containerd/ocicrypt/keys", false);
    const key = at("etc/containerd/ocicrypt/keys/key.pem");
    expect([(await undo({ keepsKeys: true })).keys, existsSync(key)]).toEqual([[], true]);
    expect([(await undo()).keys, existsSync(key)]).toEqual([[], true]);
  });

  test.each<[file: InstalledFile, hint: RegExp]>([
    [{ path: "/x", kind: "program", sha256: "" }, /^to remove it: `rm \/x`$/],
    [
      { path: "/x", kind: "program", sha256: "", backup: "/x.before-ctd-decoder" },
      /^to restore the one from before: `mv \/x\.before-ctd-decoder \/x`$/,
    ],
    [{ path: "/x", kind: "link", sha256: "" }, /^it decides which images are pulled/],
    [{ path: "/x", kind: "trust", sha256: "" }, /^nothing reads it any more/],
    [{ path: "/x", kind: "config", sha256: "" }, /^remove the import of ctd-decoder\.toml by hand$/],
  ])("is kept if another took its place: %j", async (installed, hint) => {
    put(node.folder, "/x", "version = 2\n");
    if (installed.backup !== undefined) put(node.folder, installed.backup, "before");
    await record([installed]);
    expect(await undo()).toMatchObject({
      files: [{ path: "/x", action: "kept" }],
      findings: [
        {
          severity: "warning",
          message: "/x changed since the installation, and was kept",
          hint: expect.stringMatching(hint),
        },
      ],
    });
    expect(readFileSync(at("x"), "utf8")).toBe("version = 2\n");
  });

  test("stays in the record as far as containers need it", async () => {
    const entry = file(
      "/bin/runc-gate",
      "entry",
      renderEntry({ gate: "/ctd-decoder", runtime: "/bin/runc" }),
    );
    const runtime = "run/containerd/io.containerd.runtime.v2.task/k8s.io/id/runtime";
    put(node.folder, runtime, "/bin/runc-gate");
    await record([file(PROGRAM, "program"), entry], { folders: ["/bin"], unit: "k3s" });
    expect(await undo()).toMatchObject({
      files: [
        { path: PROGRAM, action: "removed" },
        { path: "/bin/runc-gate", action: "emptied" },
      ],
      restart: "not needed",
      restartCommand: "systemctl restart k3s",
      findings: [{ severity: "note", message: expect.stringContaining("/bin/runc-gate: it stays for them") }],
    });
    const text = readFileSync(at("bin/runc-gate"));
    const sha256 = createHash("sha256").update(text).digest("hex");
    expect(readRecord(node)).toEqual({
      format: 1,
      files: [{ path: "/bin/runc-gate", kind: "entry", sha256 }],
      folders: ["/bin"],
      unit: "k3s",
    });
    rmSync(at(runtime));
    expect((await undo()).files).toEqual([{ path: "/bin/runc-gate", action: "removed" }]);
    expect(existsSync(at(RECORD))).toBe(false);
  });

  test("that cannot be read stops it, with a hint", async () => {
    await record([edited(CONFIG, "config", "not = [toml")]);
    await expect(undo()).rejects.toMatchObject({ code: "CONFIG", hint: expect.any(String) });
    await expect(undo({ root: at("none") })).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("containerd needs a restart", () => {
  test.each<[what: string, hasConfig: boolean, pendingSince: number | undefined, isNeeded: boolean]>([
    ["if it uses the configuration", true, undefined, true],
    ["if it uses the configuration since a restart", true, 1, true],
    ["not if it never used the configuration", true, SINCE, false],
    ["not without a configuration", false, undefined, false],
    ["not without a configuration, since a restart", false, 1, false],
    ["if an earlier uninstallation did not restart it", false, SINCE, true],
  ])("%s", async (_what, hasConfig, pendingSince, isNeeded) => {
    const files = [file(PROGRAM, "program"), ...(hasConfig ? [file(CONFIG, "drop-in")] : [])];
    await record(files, pendingSince === undefined ? {} : { pendingSince });
    const restart = isNeeded ? "pending" : "not needed";
    expect((await undo({ isDryRun: true })).restart).toBe(restart);
    expect((await undo()).restart).toBe(restart);
  });

  test("and gets it, if that is wanted", async () => {
    await record([file(CONFIG, "config")], { unit: "k3s" });
    expect((await undo({ restart: true })).restart).toBe("done");
    expect(nodes.takeCalls()).toEqual([
      "systemctl show --property=LoadState --value k3s.service",
      "systemctl restart k3s",
    ]);
    expect(existsSync(at(RECORD))).toBe(false);
    expect((await undo({ restart: true })).restart).toBe("not needed");
    expect(nodes.takeCalls()).toHaveLength(1);
  });

  test("and has a service that can be restarted, or else nothing is undone", async () => {
    await record([file(CONFIG, "config")]);
    nodes.onAction("show", "exit 1");
    await expect(undo({ restart: true })).rejects.toMatchObject({ code: "UNHEALTHY" });
    expect(existsSync(at(CONFIG))).toBe(true);
    expect((await undo()).restart).toBe("pending");
  });

  test("which is remembered if it fails", async () => {
    await record([file(CONFIG, "config")]);
    nodes.onAction("restart", "exit 1");
    await expect(undo({ restart: true })).rejects.toMatchObject({
      code: "RESTART_PENDING",
      message: "everything was uninstalled, but containerd was not restarted",
      hint: "restart it by `systemctl restart containerd`",
    });
    expect(readRecord(node)).toEqual({ format: 1, files: [], folders: [], pendingSince: expect.any(Number) });
    rmSync(join(base, "restart"));
    expect((await undo({ restart: true })).restart).toBe("done");
  });

  test.each([
    ["run/systemd/system/x", true],
    ["sbin/openrc-run", true],
    ["etc/x", false],
  ])("which is remembered where a service manager can do it: %s", async (path, isRemembered) => {
    rmSync(at("run"), { recursive: true });
    put(node.folder, path, "");
    const before = Date.now();
    await record([file(CONFIG, "config")]);
    expect((await undo()).restart).toBe("pending");
    expect(existsSync(at(RECORD))).toBe(isRemembered);
    if (isRemembered) expect(readRecord(node).pendingSince).toBeGreaterThanOrEqual(before);
  });
});
