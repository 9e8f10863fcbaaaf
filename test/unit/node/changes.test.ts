import { chmodSync, chownSync, mkdirSync, mkdtempSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { putInPlace, rewrite, stage } from "../../../src/node/changes.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const CONFIG = "/etc/config.toml";
/** Only root can give files away. */
const isRoot = process.getuid?.() === 0;
const [USER, GROUP] = isRoot ? [1234, 2345] : [process.getuid?.() ?? 0, process.getgid?.() ?? 0];

/** A node whose configuration is a link. */
function linkedTo(target: string): { node: NodeRoot; path: (name: string) => string } {
  const root = mkdtempSync(join(folder, "root-"));
  for (const name of ["etc", "opt"]) mkdirSync(join(root, name));
  symlinkSync(target, join(root, CONFIG));
  return { node: new NodeRoot(root), path: (name) => join(root, name) };
}

function privateFile(path: string): string {
  writeFileSync(path, "old");
  chmodSync(path, 0o640);
  chownSync(path, USER, GROUP);
  return path;
}

async function replace(node: NodeRoot, kind: "config" | "trust"): Promise<void> {
  const change = { path: CONFIG, kind, content: { text: "new" } };
  await stage(node, change);
  await putInPlace(node, change);
}

const accessTo = (path: string) => {
  const { mode, uid, gid } = statSync(path);
  return [mode & 0o7777, uid, gid];
};
const OWN = [process.getuid?.(), process.getgid?.()];

describe("a file that replaces a link", () => {
  test("is as private as the file that the link leads to", async () => {
    const { node, path } = linkedTo("/opt/real.toml");
    privateFile(path("opt/real.toml"));
    await replace(node, "config");
    expect(accessTo(path(CONFIG))).toEqual([0o640, USER, GROUP]);
  });

  test("belongs to root if it decides which images run", async () => {
    const { node, path } = linkedTo("/opt/real.toml");
    privateFile(path("opt/real.toml"));
    await replace(node, "trust");
    expect(accessTo(path(CONFIG))).toEqual([0o644, ...OWN]);
  });

  test("takes nothing from a file of this machine", async () => {
    const outside = privateFile(join(folder, "outside"));
    const { node, path } = linkedTo(outside);
    await replace(node, "config");
    expect(accessTo(path(CONFIG))).toEqual([0o644, ...OWN]);
  });

  test("takes nothing from a folder", async () => {
    const { node, path } = linkedTo("/opt");
    chownSync(path("opt"), USER, GROUP);
    await replace(node, "config");
    expect(accessTo(path(CONFIG))).toEqual([0o644, ...OWN]);
  });

  test("is open for reading if the link leads nowhere", async () => {
    const { node, path } = linkedTo("none");
    await replace(node, "config");
    expect(accessTo(path(CONFIG))).toEqual([0o644, ...OWN]);
  });
});

test("a text that is written through a link keeps the file's mode and owner", async () => {
  const { node, path } = linkedTo("../opt/real.toml");
  privateFile(path("opt/real.toml"));
  await rewrite(node, CONFIG, "new");
  expect(accessTo(path("opt/real.toml"))).toEqual([0o640, USER, GROUP]);
  expect(node.linkOf(CONFIG)).toBe("../opt/real.toml");
});

test.each([0o600, 0o2750, 0o1777])("a text that is written anew keeps the mode %o", async (mode) => {
  const { node, path } = linkedTo("/opt/config.toml");
  writeFileSync(path("opt/config.toml"), "old");
  chmodSync(path("opt/config.toml"), mode);
  await rewrite(node, CONFIG, "new");
  expect(statSync(path("opt/config.toml")).mode & 0o7777).toBe(mode);
});
