import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { keepAs } from "../../../src/node/changes.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const code = vi.hoisted(() => ({ value: "EPERM" }));
vi.mock("node:fs", async (original) => ({
  ...(await original<typeof import("node:fs")>()),
  linkSync: () => {
    throw Object.assign(new Error("no hard links here"), { code: code.value });
  },
}));

const folder = temporaryFolder();

test("a link is kept as a link where a file system has no hard links", async () => {
  const outside = join(folder, "outside");
  writeFileSync(outside, "of this machine");
  const root = mkdtempSync(join(folder, "root-"));
  mkdirSync(join(root, "etc"));
  symlinkSync(outside, join(root, "etc/config.toml"));
  await keepAs(new NodeRoot(root), "/etc/config.toml", "/etc/kept");
  expect(lstatSync(join(root, "etc/kept")).isSymbolicLink()).toBe(true);
  expect(readlinkSync(join(root, "etc/kept"))).toBe(outside);
});

test("a file is copied with its owner and mode where a file system has no hard links", async () => {
  const root = mkdtempSync(join(folder, "root-"));
  mkdirSync(join(root, "etc"));
  writeFileSync(join(root, "etc/config.toml"), "version = 2");
  // Only root can give files away. A new owner ends the set-group-ID bit.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(join(root, "etc/config.toml"), 1234, 2345);
  chmodSync(join(root, "etc/config.toml"), 0o2750);
  await keepAs(new NodeRoot(root), "/etc/config.toml", "/etc/kept");
  expect(readFileSync(join(root, "etc/kept"), "utf8")).toBe("version = 2");
  const { mode, uid, gid } = lstatSync(join(root, "etc/kept"));
  expect(mode & 0o7777).toBe(0o2750);
  if (isRoot) expect([uid, gid]).toEqual([1234, 2345]);
});

test("a file is not copied if the disk fails", async () => {
  code.value = "EIO";
  onTestFinished(() => {
    code.value = "EPERM";
  });
  const root = mkdtempSync(join(folder, "root-"));
  writeFileSync(join(root, "x"), "");
  await expect(keepAs(new NodeRoot(root), "/x", "/kept")).rejects.toMatchObject({ code: "EIO" });
  expect(existsSync(join(root, "kept"))).toBe(false);
});
