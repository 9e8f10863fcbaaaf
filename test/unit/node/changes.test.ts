import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import {
  type FileChange,
  type FileKind,
  hashContent,
  hashInPlace,
  isInPlace,
  keepAs,
  putInPlace,
  removeFile,
  rewrite,
  stage,
  writeWhole,
} from "../../../src/node/changes.ts";
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

describe("a change that is staged", () => {
  test.each<[FileKind, mode: number]>([
    ["program", 0o755],
    ["entry", 0o755],
    ["drop-in", 0o644],
  ])("as a %s has the mode %o, whatever lay there before", async (kind, mode) => {
    const { node, path } = linkedTo("none");
    for (const content of [{ text: "new" }, { copyOf: privateFile(join(folder, "source")) }]) {
      writeFileSync(path("opt/.x.ctd-decoder-new"), "left by a killed installation", { mode: 0o600 });
      await stage(node, { path: "/opt/x", kind, content });
      expect(accessTo(path("opt/.x.ctd-decoder-new"))).toEqual([mode, ...OWN]);
      expect(readFileSync(path("opt/.x.ctd-decoder-new"), "utf8")).toBe("text" in content ? "new" : "old");
    }
  });

  test("keeps the mode of the file that it replaces, with all of its bits", async () => {
    const { node, path } = linkedTo("none");
    writeFileSync(path("opt/x"), "old");
    chownSync(path("opt/x"), USER, GROUP);
    chmodSync(path("opt/x"), 0o2750);
    await stage(node, { path: "/opt/x", kind: "config", content: { text: "new" } });
    expect(accessTo(path("opt/.x.ctd-decoder-new"))).toEqual([0o2750, USER, GROUP]);
  });

  test("as a link appears under its own name only, even where a file was left", async () => {
    const { node, path } = linkedTo("none");
    writeFileSync(path("opt/.x.ctd-decoder-new"), "left");
    const change: FileChange = { path: "/opt/x", kind: "link", content: { linkTo: "/usr/bin/x" } };
    await stage(node, change);
    expect(readdirSync(path("opt"))).toEqual([]);
    await putInPlace(node, change);
    expect([readdirSync(path("opt")), node.linkOf("/opt/x")]).toEqual([["x"], "/usr/bin/x"]);
  });

  test("as a copy is on the disk", async () => {
    const { node } = linkedTo("none");
    const source = privateFile(join(folder, "source"));
    const handle = await open(source);
    const sync = vi.spyOn(Object.getPrototypeOf(handle), "sync");
    onTestFinished(() => sync.mockRestore());
    await handle.close();
    await stage(node, { path: "/opt/x", kind: "program", content: { copyOf: source } });
    expect(sync).toHaveBeenCalledOnce();
  });

  test("fails if there is nothing to copy", async () => {
    const { node } = linkedTo("none");
    const source = join(folder, "missing");
    const change: FileChange = { path: "/opt/x", kind: "program", content: { copyOf: source } };
    await expect(stage(node, change)).rejects.toThrow(/^cannot copy .*missing to .*: no such file/);
    await expect(hashContent(change.content)).rejects.toThrow(/^cannot read .*missing: no such file/);
  });
});

/** The modes that a file has while it is written. Each step of writing takes a turn of the event loop or more. */
async function modesDuring(path: string, write: Promise<void>): Promise<Set<number>> {
  const modes = new Set<number>();
  let isDone = false;
  write.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    await new Promise(setImmediate);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat !== undefined) modes.add(stat.mode & 0o777);
  }
  await write;
  return modes;
}

test("a text can be read by its owner alone until it has the owner and mode of the old one", async () => {
  const { node, path } = linkedTo("../opt/real.toml");
  privateFile(path("opt/real.toml"));
  const change: FileChange = { path: "/opt/real.toml", kind: "config", content: { text: "new" } };
  const staged = path("opt/.real.toml.ctd-decoder-new");
  expect(await modesDuring(staged, stage(node, change))).toContain(0o600);
  writeFileSync(staged, "left by a killed installation", { mode: 0o666 });
  const modes = await modesDuring(staged, rewrite(node, CONFIG, "new"));
  expect([...modes].filter((it) => it !== 0o640)).toEqual([0o600]);
});

test("a small file that is replaced has the wanted mode, whatever the umask and what was left", async () => {
  const path = join(folder, "small");
  writeFileSync(join(folder, ".small.ctd-decoder-new"), "left", { mode: 0o600 });
  await writeWhole(path, Buffer.from("new"), 0o666);
  expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["new", 0o666]);
});

describe("a change is in place", () => {
  let [node, path] = [new NodeRoot(""), (name: string) => name];
  beforeEach(() => {
    ({ node, path } = linkedTo("none"));
  });
  const isThere = (kind: FileKind, content: FileChange["content"]) =>
    isInPlace(node, { path: "/opt/x", kind, content });
  const put = (text: string, mode: number) => {
    writeFileSync(path("opt/x"), text);
    chmodSync(path("opt/x"), mode);
  };

  test("if the file has its content and mode", async () => {
    expect(await isThere("config", { text: "text" })).toBe(false);
    put("text", 0o640);
    expect(await isThere("config", { text: "text" })).toBe(true);
    expect(await isThere("config", { text: "other" })).toBe(false);
    expect(await isThere("trust", { text: "text" })).toBe(false);
    put("text", 0o4755);
    expect(await isThere("program", { copyOf: path("opt/x") })).toBe(false);
    put("text", 0o755);
    expect(await isThere("program", { copyOf: path("opt/x") })).toBe(true);
  });

  test("if the link leads to its path", async () => {
    symlinkSync("/usr/bin/x", path("opt/x"));
    expect(await isThere("link", { linkTo: "/usr/bin/x" })).toBe(true);
    expect(await isThere("link", { linkTo: "/usr/bin/y" })).toBe(false);
    expect(await isThere("config", { text: "" })).toBe(false);
  });

  test("and is recognised by its hash, if the name still is of its type", async () => {
    const hash = (kind: FileKind) => hashInPlace(node, { path: "/opt/x", kind });
    expect([await hash("config"), await hash("link")]).toEqual([undefined, undefined]);
    put("text", 0o644);
    expect([await hash("config"), await hash("link")]).toEqual([
      await hashContent({ text: "text" }),
      undefined,
    ]);
    rmSync(path("opt/x"));
    symlinkSync("/usr/bin/x", path("opt/x"));
    const linked = await hashContent({ linkTo: "/usr/bin/x" });
    expect([await hash("config"), await hash("link")]).toEqual([undefined, linked]);
  });
});

test("a second name replaces an older file of that name", async () => {
  const { node, path } = linkedTo("none");
  writeFileSync(path("opt/x"), "new");
  writeFileSync(path("opt/kept"), "old");
  await keepAs(node, "/opt/x", "/opt/kept");
  expect([readFileSync(path("opt/kept"), "utf8"), statSync(path("opt/kept")).nlink]).toEqual(["new", 2]);
});

test("a file that vanishes just before its removal is no failure", () => {
  const { path } = linkedTo("none");
  writeFileSync(path("opt/x"), "");
  let calls = 0;
  class Changing extends NodeRoot {
    override locate(name: string): string {
      calls += 1;
      if (calls === 2) rmSync(path("opt/x"));
      return super.locate(name);
    }
  }
  removeFile(new Changing(path("")), "/opt/x");
  expect([calls, readdirSync(path("opt"))]).toEqual([2, []]);
});
