import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import {
  keysFolderOf,
  listCopies,
  makeKeysFolder,
  removableCopies,
  removeAdded,
  removeCopies,
  syncKeys,
} from "../../../src/node/key-sync.ts";
import { withKeysLock } from "../../../src/node/lock.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const LIST = "..ctd-decoder.json";
const STAGED = "..ctd-decoder-new";
let node: NodeRoot;
/** Folders of the mounted Secret, and of the node's keys. */
let [source, keys] = ["", ""];

beforeEach(() => {
  const root = mkdtempSync(join(folder, "root-"));
  [source, keys] = [join(root, "secret"), join(root, "keys")];
  for (const path of [source, keys]) mkdirSync(path);
  node = new NodeRoot(root);
});

const give = (name: string, text: string) => writeFileSync(join(source, name), text);
const sync = (isDryRun = false) => syncKeys(node, source, "/keys", isDryRun);
const all = () => readdirSync(keys).sort();
/** Without the folder of the lock. */
const held = () => all().filter((name) => name !== "..ctd-decoder");
const read = (name: string) => readFileSync(join(keys, name), "utf8");
const NOTHING = { copied: [], removed: [], kept: [], skipped: [] };

test.each(["SIGSTORE", "COSIGN"])(
  "a signing key of the form %s is not copied, and an earlier copy goes",
  async (name) => {
    give("cosign.key", "copied by an older version");
    await sync();
    give(
      "cosign.key",
      `-----BEGIN ENCRYPTED ${name} PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED ${name} PRIVATE KEY-----\n`,
    );
    give("a.pem", "a");
    const report = { copied: ["a.pem"], removed: ["cosign.key"], kept: [], skipped: ["cosign.key"] };
    expect([await sync(true), await sync()]).toEqual([report, report]);
    expect(held()).toEqual([LIST, "a.pem"]);
    expect(await sync()).toEqual({ ...NOTHING, skipped: ["cosign.key"] });
  },
);

test.each([
  ["/none/keys", "/none/keys"],
  ["/none//keys/", "/none/keys"],
  ["none/./keys", "/none/keys"],
  ["//keys", "/keys"],
  ["/keys/", "/keys"],
  ["/keys/a.pem", "/keys"],
])("the folder of the keys path %s is %s", (keysPath, expected) => {
  writeFileSync(join(keys, "a.pem"), "");
  expect(keysFolderOf(keysPath, node)).toBe(expected);
});

test("a keys path that goes up is refused, because a link may be on its way", () => {
  expect(() => keysFolderOf("/srv/link/../keys", node)).toThrow(
    expect.objectContaining({ code: "CONFIG", message: expect.stringContaining("/srv/link/../keys") }),
  );
});

test("keys are copied, for the owner alone, and removed when the Secret has them no more", async () => {
  give("a.pem", "a");
  give("b.pem", "b");
  expect(await sync()).toEqual({ ...NOTHING, copied: ["a.pem", "b.pem"] });
  expect(held()).toEqual([LIST, "a.pem", "b.pem"]);
  expect([read("a.pem"), statSync(join(keys, "a.pem")).mode & 0o777]).toEqual(["a", 0o600]);
  rmSync(join(source, "a.pem"));
  give("b.pem", "new");
  expect(await sync()).toEqual({ ...NOTHING, copied: ["b.pem"], removed: ["a.pem"] });
  expect(held()).toEqual([LIST, "b.pem"]);
  expect(read("b.pem")).toBe("new");
});

test("a dry run reports what would change, and changes nothing", async () => {
  give("a.pem", "a");
  give("b.pem", "b");
  await sync();
  rmSync(join(source, "a.pem"));
  give("b.pem", "new");
  give("c.pem", "c");
  writeFileSync(join(keys, STAGED), "a part");
  chmodSync(join(keys, "b.pem"), 0o644);
  const list = read(LIST);
  expect(await sync(true)).toEqual({ ...NOTHING, copied: ["b.pem", "c.pem"], removed: ["a.pem"] });
  expect(held()).toEqual([STAGED, LIST, "a.pem", "b.pem"].sort());
  expect([read("b.pem"), read(LIST)]).toEqual(["b", list]);
  expect(statSync(join(keys, "b.pem")).mode & 0o777).toBe(0o644);
});

test("keys in step are not written again", async () => {
  give("a.pem", "a");
  await sync();
  const inodes = () => held().map((name) => statSync(join(keys, name)).ino);
  const before = inodes();
  expect(await sync()).toEqual(NOTHING);
  expect(inodes()).toEqual(before);
});

test("a copy's mode is set right again, and what a killed run left is removed", async () => {
  give("a.pem", "a");
  await sync();
  chmodSync(join(keys, "a.pem"), 0o644);
  expect(await sync()).toEqual(NOTHING);
  expect(statSync(join(keys, "a.pem")).mode & 0o777).toBe(0o600);
  writeFileSync(join(keys, STAGED), "a part");
  expect(await sync()).toEqual(NOTHING);
  expect(existsSync(join(keys, STAGED))).toBe(false);
});

test("keys of the node are not touched", async () => {
  writeFileSync(join(keys, "mine.pem"), "mine");
  writeFileSync(join(keys, "same.pem"), "same");
  give("mine.pem", "another");
  give("same.pem", "same");
  give("a.pem", "a");
  expect(await sync()).toEqual({ ...NOTHING, copied: ["a.pem"], kept: ["mine.pem"] });
  expect(read("mine.pem")).toBe("mine");
  expect(removableCopies(node, "/keys")).toEqual(["a.pem"]);
  writeFileSync(join(keys, "a.pem"), "changed since");
  expect(removableCopies(node, "/keys")).toEqual([]);
  rmSync(join(source, "a.pem"));
  expect(await sync()).toMatchObject({ removed: [] });
  expect(read("a.pem")).toBe("changed since");
});

test("the kubelet's links lead to the current version, whose folder is no key", async () => {
  mkdirSync(join(source, "..2026"));
  writeFileSync(join(source, "..2026/a.pem"), "a");
  symlinkSync("..2026", join(source, "..data"));
  symlinkSync("..data/a.pem", join(source, "a.pem"));
  expect(await sync()).toEqual({ ...NOTHING, copied: ["a.pem"] });
});

test("an uninstallation removes the copies and the list", async () => {
  writeFileSync(join(keys, "mine.pem"), "mine");
  give("a.pem", "a");
  await sync();
  writeFileSync(join(keys, STAGED), "a part");
  removeCopies(node, "/keys", ["a.pem"]);
  expect(all()).toEqual(["mine.pem"]);
});

test("an installation that fails removes the copies that it added", async () => {
  give("a.pem", "a");
  await sync();
  give("b.pem", "b");
  await sync();
  await removeAdded(node, "/keys", ["a.pem"]);
  expect(held()).toEqual([LIST, "a.pem"]);
  expect(listCopies(node, "/keys")).toEqual(["a.pem"]);
  await removeAdded(node, "/keys", []);
  expect(all()).toEqual([]);
});

test("a list names only keys of the folder", () => {
  const sha256 = "00";
  const wrong = [
    { name: "a" },
    { sha256 },
    ...["", "../a", "..data", "a/b"].map((name) => ({ name, sha256 })),
  ];
  writeFileSync(join(keys, LIST), JSON.stringify({ copies: [...wrong, null, { name: "a.pem", sha256 }] }));
  expect(listCopies(node, "/keys")).toEqual(["a.pem"]);
});

test("an uninstallation without copies finds nothing to remove", async () => {
  removeCopies(node, "/keys", []);
  await removeAdded(node, "/keys", []);
  expect(all()).toEqual([]);
});

test("a key of 1 MiB is copied, and no larger one", async () => {
  give("a.pem", " ".repeat(1_048_576));
  expect(await sync()).toMatchObject({ copied: ["a.pem"] });
  // The copy is read, too.
  expect(await sync()).toEqual(NOTHING);
  give("a.pem", " ".repeat(1_048_577));
  await expect(sync()).rejects.toMatchObject({ code: "IO" });
});

test("no more than 1,024 keys are copied", async () => {
  for (let i = 0; i < 1024; i++) give(`${i}.pem`, "");
  expect((await sync(true)).copied).toHaveLength(1024);
  give("1024.pem", "");
  await expect(sync()).rejects.toMatchObject({ code: "LIMIT" });
  expect(held()).toEqual([]);
});

test("a dry run does not set a mode right", async () => {
  give("a.pem", "a");
  await sync();
  chmodSync(join(keys, "a.pem"), 0o4600);
  await sync(true);
  expect(statSync(join(keys, "a.pem")).mode & 0o7777).toBe(0o4600);
  await sync();
  expect(statSync(join(keys, "a.pem")).mode & 0o7777).toBe(0o600);
});

test("a copy that is gone is copied again, and a link in its place is kept", async () => {
  give("a.pem", "a");
  await sync();
  rmSync(join(keys, "a.pem"));
  expect(await sync()).toEqual({ ...NOTHING, copied: ["a.pem"] });
  rmSync(join(keys, "a.pem"));
  symlinkSync(join(source, "a.pem"), join(keys, "a.pem"));
  expect(await sync()).toEqual({ ...NOTHING, kept: ["a.pem"] });
});

test("the list has all copies, and is written only if there are any", async () => {
  writeFileSync(join(keys, STAGED), "a part");
  await sync();
  expect(held()).toEqual([]);
  writeFileSync(join(keys, "same.pem"), "same");
  give("same.pem", "same");
  await sync();
  expect(JSON.parse(read(LIST))).toMatchObject({ copies: [{ name: "same.pem", isOlder: true }] });
  expect(read(LIST)).toMatch(/^\{\n {2}"copies": \[\n {4}\{\n {6}"name": "same\.pem",\n/);
  rmSync(join(source, "same.pem"));
  await sync();
  expect(listCopies(node, "/keys")).toEqual([]);
});

test("a folder of keys and its lock are for root alone", async () => {
  makeKeysFolder(node, "/a/keys");
  expect(statSync(join(node.folder, "a/keys")).mode & 0o7777).toBe(0o700);
  give("a.pem", "a");
  await sync();
  expect(statSync(join(keys, "..ctd-decoder")).mode & 0o7777).toBe(0o700);
  writeFileSync(join(node.folder, "file"), "");
  await expect(withKeysLock(join(node.folder, "file"), async () => 0)).rejects.toThrow(
    /^cannot write to .*file: /,
  );
});
