import { createHash } from "node:crypto";
import { linkSync, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import type { FileKind } from "../../../src/node/changes.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { stepsFor } from "../../../src/node/uninstall-steps.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();
const BACKUP = "/etc/x.before-ctd-decoder";
let node: NodeRoot;
const at = (path: string) => join(node.folder, path);

beforeEach(() => {
  node = new NodeRoot(mkdtempSync(join(base, "root-")));
  mkdirSync(at("etc"));
});

const textAt = (path: string) =>
  statSync(at(path), { throwIfNoEntry: false })?.isFile() ? readFileSync(at(path), "utf8") : undefined;

/** Undoes /etc/x, which an installation wrote as "ours". @returns what was done, and what the file is afterwards */
async function undo(kind: FileKind, { hasBackup = false, ours = "ours" } = {}) {
  const sha256 = createHash("sha256").update(ours).digest("hex");
  const file = { path: "/etc/x", kind, sha256, ...(hasBackup && { backup: BACKUP }) };
  const [step] = await stepsFor(node, { files: [file], folders: [] });
  await step?.[1].apply?.();
  return [step?.[1].action, textAt("etc/x"), textAt(BACKUP)];
}

test("a file of the installation is removed, or what was there before comes back", async () => {
  writeFileSync(at("etc/x"), "ours");
  expect(await undo("config")).toEqual(["removed", undefined, undefined]);
  writeFileSync(at("etc/x"), "ours");
  writeFileSync(at(BACKUP), "before");
  expect(await undo("config", { hasBackup: true })).toEqual(["restored", "before", undefined]);
});

test("a file that is gone comes back where it was there before", async () => {
  expect(await undo("config")).toEqual(["removed", undefined, undefined]);
  writeFileSync(at(BACKUP), "before");
  expect(await undo("config", { hasBackup: true })).toEqual(["restored", "before", undefined]);
});

test.each<FileKind>(["program", "entry", "trust"])("a %s that was replaced since is kept", async (kind) => {
  writeFileSync(at("etc/x"), "another");
  expect(await undo(kind)).toEqual(["kept", "another", undefined]);
});

test("a drop-in goes, and its edits stay under another name", async () => {
  writeFileSync(at("etc/x"), "ours");
  expect(await undo("drop-in")).toEqual(["removed", undefined, undefined]);
  expect(textAt("/etc/x.edited")).toBeUndefined();
  writeFileSync(at("etc/x"), "edited");
  expect(await undo("drop-in")).toEqual(["removed", undefined, undefined]);
  expect(textAt("/etc/x.edited")).toBe("edited");
});

test("an edited drop-in makes way for the file that was there before", async () => {
  writeFileSync(at("etc/x"), "edited");
  writeFileSync(at(BACKUP), "before");
  expect(await undo("drop-in", { hasBackup: true })).toEqual(["restored", "before", undefined]);
  expect(textAt("/etc/x.edited")).toBe("edited");
});

test("a folder in place of a drop-in does not stop the uninstallation", async () => {
  mkdirSync(at("etc/x"));
  expect(await undo("drop-in")).toEqual(["removed", undefined, undefined]);
});

test("an edited configuration loses its import only", async () => {
  const text = 'version = 2\nimports = ["/etc/ctd-decoder.toml", "/etc/mine.toml"]\n';
  writeFileSync(at("etc/x"), text);
  writeFileSync(at(BACKUP), "before");
  const [action, left, backup] = await undo("config", { hasBackup: true });
  expect([action, left?.includes("ctd-decoder"), left?.includes("/etc/mine.toml"), backup]).toEqual([
    "edited",
    false,
    true,
    undefined,
  ]);
});

test("an edited template loses its block only", async () => {
  writeFileSync(at("etc/x"), "mine\n# BEGIN ctd-decoder\nx\n# END ctd-decoder\nmore\n");
  expect(await undo("template")).toEqual(["edited", "mine\nmore\n", undefined]);
});

test("a configuration whose backup is gone keeps all but the installation's part", async () => {
  const text = 'version = 2\nimports = ["/etc/ctd-decoder.toml"]\n';
  writeFileSync(at("etc/x"), text);
  const [action, left] = await undo("config", { hasBackup: true, ours: text });
  expect([action, left?.includes("version = 2"), left?.includes("ctd-decoder")]).toEqual([
    "edited",
    true,
    false,
  ]);
  writeFileSync(at("etc/x"), "version = 2\n");
  expect(await undo("config", { hasBackup: true })).toEqual(["restored", "version = 2\n", undefined]);
});

test("a killed installation's backup is removed, and its file stays", async () => {
  writeFileSync(at("etc/x"), "before");
  linkSync(at("etc/x"), at(BACKUP));
  expect(await undo("config", { hasBackup: true })).toEqual(["restored", "before", undefined]);
});

test("a folder in place of a backup does not come back", async () => {
  writeFileSync(at("etc/x"), "ours");
  mkdirSync(at(BACKUP));
  expect(await undo("program", { hasBackup: true })).toEqual(["removed", undefined, undefined]);
});

test("a configuration that cannot be read stops the uninstallation before its first step", async () => {
  writeFileSync(at("etc/x"), "not = [toml");
  await expect(undo("config")).rejects.toMatchObject({
    code: "CONFIG",
    message: expect.stringMatching(/is not valid TOML/),
    hint: expect.any(String),
  });
});

test("a file whose backup is lost stays if another program wrote it", async () => {
  writeFileSync(at("etc/x"), "another");
  expect(await undo("program", { hasBackup: true })).toEqual(["restored", "another", undefined]);
});

test("entries go last, and the others in the reverse order", async () => {
  const file = (path: string, kind: FileKind) => ({ path, kind, sha256: "" });
  const files = [file("/a", "entry"), file("/b", "program"), file("/c", "entry"), file("/d", "drop-in")];
  const steps = await stepsFor(node, { files, folders: [] });
  expect(steps.map(([{ path }]) => path)).toEqual(["/d", "/b", "/c", "/a"]);
});
