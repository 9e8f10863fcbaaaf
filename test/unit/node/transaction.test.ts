import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { FileChange } from "../../../src/node/changes.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { NOTHING_INSTALLED, readRecord } from "../../../src/node/record.ts";
import { Transaction } from "../../../src/node/transaction.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

test("a file that can't be restored does not keep the others, and stays in the record", async () => {
  const root = mkdtempSync(join(folder, "root-"));
  mkdirSync(join(root, "etc"));
  const changes = ["/etc/a", "/etc/b", "/etc/c"].map((path): FileChange => {
    writeFileSync(root + path, "old");
    return { path, kind: "config", content: { text: "new" } };
  });
  const node = new NodeRoot(root);
  const options = { changes, keysFolder: "/keys", privateFolders: [], unit: "containerd" };
  const transaction = new Transaction(node, { ...options, before: NOTHING_INSTALLED });
  await transaction.begin(undefined);
  for (const change of changes) await transaction.stage(change);
  await transaction.commit();
  rmSync(join(root, "etc/b"));
  mkdirSync(join(root, "etc/b"));
  const more = async () => {
    throw new Error("more");
  };
  expect(await transaction.rollBack(more)).toMatch(/^more; (?:it is|EISDIR|.*directory)/);
  expect(["a", "c"].map((name) => readFileSync(join(root, "etc", name), "utf8"))).toEqual(["old", "old"]);
  expect(readRecord(node).files.map(({ path }) => path)).toEqual(["/etc/a", "/etc/b", "/etc/c"]);

  rmSync(join(root, "etc/b"), { recursive: true });
  expect(await transaction.rollBack()).toBeUndefined();
  expect(readFileSync(join(root, "etc/b"), "utf8")).toBe("old");
  expect(readRecord(node)).toBe(NOTHING_INSTALLED);
});
