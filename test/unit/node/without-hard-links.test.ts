import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { keepAs } from "../../../src/node/changes.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

vi.mock("node:fs", async (original) => ({
  ...(await original<typeof import("node:fs")>()),
  linkSync: () => {
    throw Object.assign(new Error("no hard links here"), { code: "EPERM" });
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

test("a file is copied with its mode where a file system has no hard links", async () => {
  const root = mkdtempSync(join(folder, "root-"));
  mkdirSync(join(root, "etc"));
  writeFileSync(join(root, "etc/config.toml"), "version = 2");
  chmodSync(join(root, "etc/config.toml"), 0o640);
  await keepAs(new NodeRoot(root), "/etc/config.toml", "/etc/kept");
  expect(readFileSync(join(root, "etc/kept"), "utf8")).toBe("version = 2");
  expect(lstatSync(join(root, "etc/kept")).mode & 0o777).toBe(0o640);
});
