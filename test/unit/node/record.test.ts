import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { NodeRoot } from "../../../src/node/node-root.ts";
import {
  type InstallRecord,
  installedProgram,
  missingFolders,
  NOTHING_INSTALLED,
  programsIn,
  readRecord,
  removeRecord,
  writeRecord,
} from "../../../src/node/record.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();
const FOLDER = "var/lib/ctd-decoder";
const FILE = { path: "/etc/x", kind: "config", sha256: "00", backup: "/etc/x.before-ctd-decoder" } as const;
const RECORD: InstallRecord = {
  files: [FILE, { ...FILE, backup: "/etc/x.before-ctd-decoder.2" }],
  folders: ["/etc/a", "/etc/b"],
  program: "/usr/bin/x",
  keysFolder: "/etc/keys",
  otherKeysFolders: ["/foo/keys"],
  unit: "k3s-agent",
  pendingSince: 1,
};
let node: NodeRoot;

beforeEach(() => {
  node = new NodeRoot(mkdtempSync(join(base, "root-")));
});

test("a record is read as it was written; without one, nothing is installed", async () => {
  expect(readRecord(node)).toEqual(NOTHING_INSTALLED);
  await writeRecord(node, RECORD);
  expect(readRecord(node)).toMatchObject(RECORD);
});

test.each<[string, object]>([
  ["another format", { format: 2 }],
  ["files that are not a list", { files: {} }],
  ["one file of an unknown kind", { files: [FILE, { ...FILE, kind: "other" }] }],
  ["a file that is a number", { files: [FILE, 1] }],
  ["a file that is a list", { files: [[]] }],
  ["a relative path", { files: [{ ...FILE, path: "etc/x" }] }],
  ["a path that climbs", { files: [{ ...FILE, path: "/etc/../x" }] }],
  ["no hash", { files: [{ ...FILE, sha256: 0 }] }],
  ["a backup of another file", { files: [{ ...FILE, backup: "/etc/shadow" }] }],
  ["a backup elsewhere", { files: [{ ...FILE, backup: "/etc/x.before-ctd-decoder/../y" }] }],
  ["one relative folder", { folders: ["/etc/a", "b"] }],
  ["folders that are not a list", { folders: "/etc/a" }],
  ["a relative program", { program: "x" }],
  ["a relative folder of keys", { keysFolder: "keys" }],
  ["one relative folder of other keys", { otherKeysFolders: ["/foo", "keys"] }],
  ["other folders of keys that are not a list", { otherKeysFolders: "/foo" }],
  ["an option in place of a unit", { unit: "--now" }],
  ["a time that is a text", { pendingSince: "1" }],
])("a record with %s is refused", (_what, change) => {
  mkdirSync(join(node.folder, FOLDER), { recursive: true });
  writeFileSync(
    join(node.folder, FOLDER, "install.json"),
    JSON.stringify({ format: 1, ...RECORD, ...change }),
  );
  expect(() => readRecord(node)).toThrow(/is not a record of an installation$/);
});

test("folders that are missing are named, outermost first, and removed with the record", async () => {
  expect(missingFolders(node, ["/etc/a/b/file"])).toEqual([
    "/var",
    "/var/lib",
    "/var/lib/ctd-decoder",
    "/etc",
    "/etc/a",
    "/etc/a/b",
  ]);
  mkdirSync(join(node.folder, "etc/a/b"), { recursive: true });
  writeFileSync(join(node.folder, "etc/a/mine"), "");
  await writeRecord(node, RECORD);
  removeRecord(node, ["/var/lib", "/var/lib/ctd-decoder", "/etc/a", "/etc/a/b"]);
  expect(["etc/a/mine", "etc/a/b", "var/lib", "var"].map((it) => existsSync(join(node.folder, it)))).toEqual([
    true,
    false,
    false,
    true,
  ]);
});

test("the program that is called is the recorded one, else the latest of the files", () => {
  const files = ["/a", "/b", "/c"].map(
    (path, i) => ({ path, kind: i < 2 ? "program" : "config", sha256: "" }) as const,
  );
  expect(installedProgram({ files, folders: [], program: "/a" })).toBe("/a");
  expect(installedProgram({ files, folders: [] })).toBe("/b");
  expect(installedProgram(NOTHING_INSTALLED)).toBeUndefined();
  expect(programsIn({ files, folders: [], program: "/a" })).toEqual(["/a", "/b"]);
  expect(programsIn({ files, folders: [], program: "/d" })).toEqual(["/a", "/b", "/d"]);
});

test("a record is for root alone, in a folder for all, whatever the umask", async () => {
  const umask = process.umask(0);
  onTestFinished(() => void process.umask(umask));
  await writeRecord(node, RECORD);
  const modes = [FOLDER, `${FOLDER}/install.json`].map((it) => statSync(join(node.folder, it)).mode & 0o777);
  expect(modes).toEqual([0o755, 0o600]);
  const text = readFileSync(join(node.folder, FOLDER, "install.json"), "utf8");
  expect(text).toMatch(/^\{\n {2}"format": 1,\n {2}"files": \[\n/);
});

test("a record that was never there, or was cut off, is removed", () => {
  removeRecord(node, []);
  mkdirSync(join(node.folder, FOLDER), { recursive: true });
  writeFileSync(join(node.folder, FOLDER, ".install.json.ctd-decoder-new"), "left by a killed installation");
  removeRecord(node, []);
  expect(existsSync(join(node.folder, FOLDER))).toBe(false);
});

test("only a missing record is none", () => {
  mkdirSync(join(node.folder, FOLDER, "install.json"), { recursive: true });
  expect(() => readRecord(node)).toThrow("cannot read /var/lib/ctd-decoder/install.json");
  rmSync(join(node.folder, FOLDER), { recursive: true });
  writeFileSync(join(node.folder, FOLDER), "");
  expect(readRecord(node)).toBe(NOTHING_INSTALLED);
});
