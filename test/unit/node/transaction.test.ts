import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { FileChange, FileKind } from "../../../src/node/changes.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { type InstallRecord, NOTHING_INSTALLED, readRecord } from "../../../src/node/record.ts";
import { removeLeftovers, Transaction } from "../../../src/node/transaction.ts";
import { put, snapshot } from "../../support/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const BACKUP = ".before-ctd-decoder";
let node: NodeRoot;

beforeEach(() => {
  const umask = process.umask(0o022);
  onTestFinished(() => void process.umask(umask));
  node = new NodeRoot(mkdtempSync(join(folder, "root-")));
  mkdirSync(join(node.folder, "etc"));
});

const at = (path: string) => join(node.folder, path);
const file = (path: string, text: string) => put(node.folder, path, text);
/** Everything on the node but the record, with modes; the folder of the record is not of interest. */
const files = () =>
  Object.fromEntries(
    Object.entries(snapshot(node.folder)).filter(([path]) => path !== "etc" && !path.startsWith("var")),
  );
const change = (path: string, kind: FileKind = "config"): FileChange => ({
  path,
  kind,
  content: { text: "new" },
});

interface Options {
  readonly before?: InstallRecord;
  readonly privateFolders?: readonly string[];
}

const transactionOf = (
  changes: readonly FileChange[],
  { before = NOTHING_INSTALLED, privateFolders = [] }: Options = {},
) =>
  new Transaction(node, {
    changes,
    program: change("/bin/program", "program"),
    keysFolder: "/keys",
    privateFolders,
    unit: "containerd",
    before,
  });

/** A transaction whose changes are in place. */
async function committed(changes: readonly FileChange[], options?: Options) {
  const transaction = transactionOf(changes, options);
  await transaction.begin(undefined);
  for (const one of changes) await transaction.stage(one);
  return { transaction, edited: await transaction.commit() };
}

/** The record of a finished installation of these changes. */
async function installed(...changes: readonly FileChange[]): Promise<InstallRecord> {
  const { transaction } = await committed(changes);
  await transaction.finish(false);
  return readRecord(node);
}

describe("an installation begins", () => {
  test("with a record of its files, and with their folders", async () => {
    file("etc/old", "old");
    const changes = [change("/etc/old"), change("/etc/a/b/new")];
    const transaction = transactionOf(changes, { privateFolders: ["/etc/keys", "/etc"] });
    await transaction.begin(1234);
    const sha256 = expect.stringMatching(/^[0-9a-f]{64}$/);
    expect(readRecord(node)).toEqual({
      format: 1,
      files: [
        { path: "/etc/old", kind: "config", sha256, backup: `/etc/old${BACKUP}` },
        { path: "/etc/a/b/new", kind: "config", sha256 },
      ],
      folders: ["/var", "/var/lib", "/var/lib/ctd-decoder", "/etc/a", "/etc/a/b", "/etc/keys"],
      program: "/bin/program",
      keysFolder: "/keys",
      unit: "containerd",
      pendingSince: 1234,
    });
    expect(files()).toEqual({
      "etc/a": "755 folder",
      "etc/a/b": "755 folder",
      "etc/keys": "700 folder",
      "etc/old": "644 old",
    });
  });

  test("with folders that only root writes to, whatever the umask", async () => {
    const umask = process.umask(0);
    onTestFinished(() => void process.umask(umask));
    await transactionOf([change("/etc/a/new")]).begin(undefined);
    expect(files()["etc/a"]).toBe("755 folder");
  });

  test("after earlier ones with what their record says", async () => {
    const before = await installed(change("/etc/a/x"), change("/etc/y"));
    rmSync(at("etc/a"), { recursive: true });
    const pending = { ...before, pendingSince: 5 };
    const transaction = transactionOf([change("/etc/a/x"), change("/etc/b/z")], { before: pending });
    await transaction.begin(undefined);
    const { files: all, folders, pendingSince } = readRecord(node);
    expect(all.map(({ path, backup }) => [path, backup])).toEqual([
      ["/etc/a/x", undefined],
      ["/etc/y", undefined],
      ["/etc/b/z", undefined],
    ]);
    expect(folders).toEqual([...before.folders, "/etc/b"]);
    expect(pendingSince).toBe(5);
    await transactionOf([], { before }).begin(undefined);
    expect(readRecord(node)).not.toHaveProperty("pendingSince");
  });

  test("with names of backups that are free", async () => {
    for (const name of ["etc/x", `etc/x${BACKUP}`, "etc/y", `etc/y${BACKUP}`, `etc/y${BACKUP}.2`])
      file(name, name);
    await committed([change("/etc/x"), change("/etc/y")]);
    expect(readRecord(node).files.map(({ backup }) => backup)).toEqual([
      `/etc/x${BACKUP}.2`,
      `/etc/y${BACKUP}.3`,
    ]);
    expect(files()).toMatchObject({
      [`etc/x${BACKUP}`]: `644 etc/x${BACKUP}`,
      [`etc/y${BACKUP}.3`]: "644 etc/y",
    });
  });
});

describe("a file that is replaced", () => {
  test("is kept as a backup, and until the end for a roll-back", async () => {
    file("etc/x", "old");
    const { transaction, edited } = await committed([change("/etc/x"), change("/etc/y")]);
    expect(edited).toEqual([]);
    const done = { "etc/x": "644 new", "etc/y": "644 new", [`etc/x${BACKUP}`]: "644 old" };
    expect(files()).toEqual({ ...done, "etc/x.ctd-decoder-rollback": "644 old" });
    file("etc/.y.ctd-decoder-new", "left");
    await transaction.finish(false);
    expect(files()).toEqual(done);
  });

  test.each<[kind: FileKind, isKept: boolean]>([
    ["config", false],
    ["template", false],
    ["drop-in", true],
    ["trust", true],
  ])("as a %s that an operator edited", async (kind, isKept) => {
    const before = await installed(change("/etc/x", kind), change("/etc/other", kind));
    file("etc/x", "edited");
    const { edited } = await committed([change("/etc/x", kind), change("/etc/other", kind)], { before });
    const kept = isKept ? ["etc/x.edited"] : [];
    expect(edited).toEqual(kept.map((it) => `/${it}`));
    const names = ["etc/x", "etc/x.ctd-decoder-rollback", "etc/other", "etc/other.ctd-decoder-rollback"];
    expect(Object.keys(files())).toEqual([...names, ...kept].sort());
  });

  test("as a drop-in that no installation wrote becomes a backup only", async () => {
    file("etc/x", "mine");
    const { edited } = await committed([change("/etc/x", "drop-in")]);
    expect([edited, files()[`etc/x${BACKUP}`]]).toEqual([[], "644 mine"]);
    symlinkSync("x", at("etc/link"));
    const linked = await committed([change("/etc/link", "drop-in")]);
    expect([linked.edited, files()[`etc/link${BACKUP}`]]).toEqual([[], "777 link to x"]);
  });

  test("as an earlier installation wrote it gets no backup, even one that is gone", async () => {
    file("etc/x", "old");
    const before = await installed(change("/etc/x", "drop-in"));
    rmSync(at(`etc/x${BACKUP}`));
    const { edited } = await committed([change("/etc/x", "drop-in")], { before });
    expect([edited, files()[`etc/x${BACKUP}`]]).toEqual([[], undefined]);
  });

  test("by the next installation after a killed one is still the original", async () => {
    file("etc/x", "old");
    await transactionOf([change("/etc/x", "drop-in")]).begin(undefined);
    const killed = readRecord(node);
    const first = await committed([change("/etc/x", "drop-in")], { before: killed });
    expect([first.edited, files()[`etc/x${BACKUP}`]]).toEqual([[], "644 old"]);
    // This time the backup was made, and the file not yet replaced.
    file("etc/x", "old");
    const second = await committed([change("/etc/x", "drop-in")], { before: killed });
    expect([second.edited, files()[`etc/x${BACKUP}`]]).toEqual([[], "644 old"]);
  });

  test("is edited if its backup is a folder", async () => {
    file("etc/x", "old");
    const before = await installed(change("/etc/x", "drop-in"));
    file("etc/x", "edited");
    rmSync(at(`etc/x${BACKUP}`));
    mkdirSync(at(`etc/x${BACKUP}`));
    const { edited } = await committed([change("/etc/x", "drop-in")], { before });
    expect(edited).toEqual(["/etc/x.edited"]);
  });

  test("is edited if a link took its place, even to what its backup holds", async () => {
    file("etc/x", "old");
    const before = await installed(change("/etc/x", "drop-in"));
    rmSync(at("etc/x"));
    symlinkSync(`x${BACKUP}`, at("etc/x"));
    const { edited } = await committed([change("/etc/x", "drop-in")], { before });
    expect(edited).toEqual(["/etc/x.edited"]);
  });
});

describe("a roll-back", () => {
  test("of a first installation leaves no trace", async () => {
    file("etc/x", "old");
    const before = snapshot(node.folder);
    const { transaction } = await committed([change("/etc/x"), change("/etc/a/b/new")]);
    expect(await transaction.rollBack()).toBeUndefined();
    expect(snapshot(node.folder)).toEqual(before);
  });

  test("removes what was staged only", async () => {
    file("etc/x", "old");
    const before = snapshot(node.folder);
    const transaction = transactionOf([change("/etc/x"), change("/etc/a/new")]);
    await transaction.begin(1);
    await transaction.stage(change("/etc/x"));
    await transaction.stage(change("/etc/a/new"));
    expect(await transaction.rollBack()).toBeUndefined();
    expect(snapshot(node.folder)).toEqual(before);
  });

  test("of a later installation leaves the earlier one", async () => {
    file("etc/x", "old");
    await installed(change("/etc/x"));
    const [before, record] = [snapshot(node.folder), readRecord(node)];
    file("etc/y", "old");
    const changes = [
      { ...change("/etc/x"), content: { text: "newer" } },
      change("/etc/y"),
      change("/etc/a/z"),
    ];
    const { transaction } = await committed(changes, { before: record });
    expect(await transaction.rollBack()).toBeUndefined();
    rmSync(at("etc/y"));
    expect(snapshot(node.folder)).toEqual(before);
  });

  test("keeps a file that was not replaced yet, where it is", async () => {
    file("etc/x", "old");
    const transaction = transactionOf([change("/etc/x")]);
    await transaction.begin(undefined);
    // Nothing was staged.
    await expect(transaction.commit()).rejects.toThrow("no such file");
    const failing = async () => {
      throw new Error("more");
    };
    expect(await transaction.rollBack(failing)).toBe("more");
    expect(files()).toEqual({ "etc/x": "644 old", [`etc/x${BACKUP}`]: "644 old" });
    expect(readRecord(node).files).toHaveLength(1);
  });

  test("removes the names of files that were kept before the first one was replaced", async () => {
    file("etc/x", "old");
    mkdirSync(at("etc/y"));
    const before = snapshot(node.folder);
    const transaction = transactionOf([change("/etc/x"), change("/etc/y")]);
    await transaction.begin(undefined);
    await expect(transaction.commit()).rejects.toThrow();
    expect(files()).toHaveProperty(["etc/x.ctd-decoder-rollback"]);
    expect(await transaction.rollBack()).toBeUndefined();
    expect(snapshot(node.folder)).toEqual(before);
  });

  test("goes on after a file that can't be restored, which stays in the record", async () => {
    const paths = ["/etc/a", "/etc/b", "/etc/c"];
    for (const path of paths) file(path, "old");
    const { transaction } = await committed(paths.map((path) => change(path)));
    rmSync(at("etc/b"));
    mkdirSync(at("etc/b"));
    const more = async () => {
      throw new Error("more");
    };
    expect(await transaction.rollBack(more)).toMatch(/^more; (?:it is|EISDIR|.*directory)/);
    expect(["a", "c"].map((name) => readFileSync(at(`etc/${name}`), "utf8"))).toEqual(["old", "old"]);
    expect(readRecord(node).files.map(({ path }) => path)).toEqual(paths);

    rmSync(at("etc/b"), { recursive: true });
    expect(await transaction.rollBack()).toBeUndefined();
    expect(readFileSync(at("etc/b"), "utf8")).toBe("old");
    expect(readRecord(node)).toBe(NOTHING_INSTALLED);
  });
});

test("whether a restart is pending is recorded at the end", async () => {
  const transaction = transactionOf([]);
  await transaction.begin(1234);
  await transaction.finish(true);
  expect(readRecord(node).pendingSince).toBe(1234);
  await transaction.finish(false);
  expect(readRecord(node)).not.toHaveProperty("pendingSince");
});

test("what a killed installation left is removed", async () => {
  for (const name of ["etc/.x.ctd-decoder-new", "etc/x.ctd-decoder-rollback", "etc/x"]) file(name, "left");
  removeLeftovers(node, { files: [{ path: "/etc/x", kind: "config", sha256: "" }], folders: [] });
  expect(files()).toEqual({ "etc/x": "644 left" });
});
