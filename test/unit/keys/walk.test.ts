import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { linkSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { DecoderError } from "../../../src/errors.ts";
import { walkKeys } from "../../../src/keys/walk.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
let trees = 0;

/** A new folder with these files: text, or undefined for a folder. */
function tree(files: Readonly<Record<string, string | undefined>>): string {
  const root = join(folder, String(++trees));
  mkdirSync(root);
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(content === undefined ? path : join(path, ".."), { recursive: true });
    if (content !== undefined) writeFileSync(path, content);
  }
  return root;
}

function walk(path: string, allowExternalSymlinks = false) {
  const skipped: [string, string][] = [];
  const found = walkKeys(path, {
    allowExternalSymlinks,
    onSkip: (name, reason) => skipped.push([name, reason]),
  });
  return { found: found.map(({ name, data }) => [name, Buffer.from(data).toString()]), skipped };
}

test("all files of a folder and its subfolders, in order of their names", () => {
  const root = tree({ b: "2", "a/x": "1", "a/y/z": "3", ".hidden": "0", empty: "", c: undefined });
  expect(walk(root)).toEqual({
    found: [
      [".hidden", "0"],
      ["a/x", "1"],
      ["a/y/z", "3"],
      ["b", "2"],
      ["empty", ""],
    ],
    skipped: [],
  });
  expect(walk(`${root}/`).found).toHaveLength(5);
});

test("a single file is named by its own name", () => {
  const root = tree({ key: "1" });
  expect(walk(join(root, "key")).found).toEqual([["key", "1"]]);
  symlinkSync(join(root, "key"), join(root, "link"));
  expect(walk(join(root, "link")).found).toEqual([["link", "1"]]);
});

test("a path that is missing", () => {
  expect(walk(join(folder, "missing"))).toEqual({
    found: [],
    skipped: [[join(folder, "missing"), "no such file or directory"]],
  });
});

test("a Kubernetes Secret mount: each key once", () => {
  const root = tree({ "..2024_11_22/tls.key": "1", "..2024_11_22/ca.crt": "2", "..2023_01_01/old.key": "0" });
  symlinkSync("..2024_11_22", join(root, "..data"));
  symlinkSync("..data/tls.key", join(root, "tls.key"));
  symlinkSync("..data/ca.crt", join(root, "ca.crt"));
  expect(walk(root)).toEqual({
    found: [
      ["ca.crt", "2"],
      ["tls.key", "1"],
    ],
    skipped: [],
  });
  expect(walk(join(root, "..data")).found).toHaveLength(2);
});

describe("symlinks", () => {
  test("inside the folder are followed, what they name is read once", () => {
    const root = tree({ "z/key": "1" });
    symlinkSync("z/key", join(root, "a"));
    symlinkSync("a", join(root, "b"));
    symlinkSync("z", join(root, "c"));
    linkSync(join(root, "z/key"), join(root, "hard"));
    expect(walk(root)).toEqual({ found: [["a", "1"]], skipped: [] });
  });

  test("to the folder itself or above are no endless way", () => {
    const root = tree({ "a/key": "1" });
    symlinkSync(root, join(root, "self"));
    symlinkSync("..", join(root, "a/up"));
    symlinkSync("loop", join(root, "loop"));
    expect(walk(root)).toEqual({ found: [["a/key", "1"]], skipped: [["loop", "too many symbolic links"]] });
    expect(walk(root, true).found).toEqual([["a/key", "1"]]);
  });

  test("that leave the folder are followed on demand only", () => {
    const outside = tree({ key: "1", "more/key": "2" });
    const root = tree({});
    symlinkSync(join(outside, "key"), join(root, "file"));
    symlinkSync(join(outside, "more"), join(root, "folder"));
    const { found, skipped } = walk(root);
    expect(found).toEqual([]);
    expect(skipped.map(([name]) => name)).toEqual(["file", "folder"]);
    expect(skipped[0]?.[1]).toContain("--allow-external-symlinks");
    expect(walk(root, true)).toEqual({
      found: [
        ["file", "1"],
        ["folder/key", "2"],
      ],
      skipped: [],
    });
  });

  test("into a folder whose name only begins the same do leave", () => {
    const root = tree({});
    mkdirSync(`${root}-other`);
    writeFileSync(`${root}-other/key`, "1");
    symlinkSync(`${root}-other/key`, join(root, "key"));
    expect(walk(root)).toMatchObject({ found: [], skipped: [["key", expect.stringContaining("leaves")]] });
  });

  test("through a folder that leaves are not followed by a detour", () => {
    const outside = tree({ "more/key": "1" });
    const root = tree({});
    symlinkSync(outside, join(root, "folder"));
    symlinkSync("folder/more/key", join(root, "key"));
    expect(walk(root).found).toEqual([]);
  });

  test("that lead nowhere are skipped", () => {
    const root = tree({ key: "1" });
    symlinkSync("missing", join(root, "dangling"));
    expect(walk(root)).toEqual({
      found: [["key", "1"]],
      skipped: [["dangling", "no such file or directory"]],
    });
  });

  test("may name the keys folder itself", () => {
    const root = tree({ key: "1" });
    symlinkSync(root, `${root}-link`);
    expect(walk(`${root}-link`).found).toEqual([["key", "1"]]);
  });
});

test("FIFOs, sockets and devices are skipped", async () => {
  const root = tree({ key: "1" });
  execFileSync("mkfifo", [join(root, "fifo")]);
  symlinkSync("fifo", join(root, "link"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(root, "socket"), resolve));
  const { found, skipped } = walk(root);
  server.close();
  expect(found).toEqual([["key", "1"]]);
  expect(skipped).toEqual([
    ["fifo", "not a regular file"],
    ["link", "not a regular file"],
    ["socket", "not a regular file"],
  ]);
  expect(walk("/dev/null").skipped).toEqual([["null", "not a regular file"]]);
  expect(walk(join(root, "fifo")).skipped).toEqual([["fifo", "not a regular file"]]);
});

describe.skipIf(process.platform !== "linux")("what is exchanged while it is looked at (on Linux)", () => {
  /** Exchanges a place for the other one and back, thousands of times a second, while the folder is read again and again. */
  async function readWhile(root: string, place: string, other: string): Promise<Set<string | undefined>> {
    const script = `const { renameSync } = require("node:fs");
      const [place, other] = process.argv.slice(1);
      process.stdout.write("ready");
      for (;;) { renameSync(place, place + "..."); renameSync(other, place); renameSync(place, other); renameSync(place + "...", place); }`;
    const child = spawn(process.execPath, ["-e", script, place, other], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const contents = new Set<string | undefined>();
    try {
      await once(child.stdout, "data");
      for (let i = 0; i < 12_000; i++) for (const [, content] of walk(root).found) contents.add(content);
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    return contents;
  }

  test.each<[string, (root: string, outside: string) => [string, string]]>([
    [
      "a link",
      (root, outside) => {
        symlinkSync("inside", join(root, "link"));
        symlinkSync(join(outside, "secret"), join(root, "..other"));
        return [join(root, "link"), join(root, "..other")];
      },
    ],
    [
      "a file",
      (root, outside) => {
        symlinkSync(join(outside, "secret"), join(root, "..other"));
        return [join(root, "inside"), join(root, "..other")];
      },
    ],
    [
      "a folder",
      (root, outside) => {
        mkdirSync(join(root, "folder"));
        writeFileSync(join(root, "folder/secret"), "inside");
        symlinkSync(outside, join(root, "..other"));
        return [join(root, "folder"), join(root, "..other")];
      },
    ],
  ])("%s never leads out of the directory", async (_what, prepare) => {
    const outside = tree({ secret: "outside" });
    const root = tree({ inside: "inside" });
    const [place, other] = prepare(root, outside);
    expect([...(await readWhile(root, place, other))]).toEqual(["inside"]);
  });
});

describe("a link that can't be resolved", () => {
  /** Reads a folder with one link. Resolving it fails so many times, in this way. */
  function readAfter(failures: number, code: string) {
    const root = tree({ "..data/key": "1" });
    symlinkSync("..data/key", join(root, "key"));
    const native = realpathSync.native;
    let attempts = 0;
    const spy = vi.spyOn(realpathSync, "native").mockImplementation(((path: string) => {
      if (path.endsWith("key") && attempts++ < failures) throw Object.assign(new Error(), { code });
      return native(path);
    }) as typeof native);
    try {
      const { found, skipped } = walk(root);
      return { attempts, found: found.length, skipped: skipped.length };
    } finally {
      spy.mockRestore();
    }
  }

  test("is tried three times while its volume is replaced", () => {
    expect(readAfter(2, "ENOENT")).toEqual({ attempts: 3, found: 1, skipped: 0 });
    expect(readAfter(5, "ENOENT")).toEqual({ attempts: 3, found: 0, skipped: 1 });
  });

  test("for another reason is tried once", () => {
    expect(readAfter(5, "EACCES")).toEqual({ attempts: 1, found: 0, skipped: 1 });
  });
});

describe("limits", () => {
  test("a file larger than any key is skipped", () => {
    const root = tree({ fits: "x".repeat(1_048_576), large: "x".repeat(1_048_577) });
    const { found, skipped } = walk(root);
    expect(found.map(([name]) => name)).toEqual(["fits"]);
    expect(skipped).toEqual([["large", "larger than any key"]]);
  });

  test("folders nested too deep are skipped", () => {
    const deepest = Array.from({ length: 16 }, (_, i) => `d${i}`).join("/");
    const { found, skipped } = walk(tree({ [`${deepest}/key`]: "1", [`${deepest}/below/key`]: "2" }));
    expect(found).toEqual([[`${deepest}/key`, "1"]]);
    expect(skipped).toEqual([[`${deepest}/below`, "nested too deeply"]]);
  });

  test("files above the count are left out, once told", () => {
    const names = Array.from({ length: 1024 + 5 }, (_, i) => [`k${i}`, String(i)]);
    const { found, skipped } = walk(tree(Object.fromEntries(names)));
    expect(found).toHaveLength(1024);
    const reason = "more than 1024 files; the others are not read";
    expect(skipped).toEqual([[".", reason]]);
    const inside = names.map(([name, content]) => [`sub/${name}`, content]);
    expect(walk(tree(Object.fromEntries(inside))).skipped).toEqual([["sub", reason]]);
  });
});

test("what onSkip throws comes through as it is", () => {
  const onSkip = (name: string, reason: string) => {
    throw new DecoderError("BAD_KEY", `${name}: ${reason}`);
  };
  const messageOf = (path: string) => {
    try {
      return walkKeys(path, { allowExternalSymlinks: false, onSkip });
    } catch (error) {
      return (error as DecoderError).message;
    }
  };
  const withFifo = tree({ "a/b/x": "1" });
  execFileSync("mkfifo", [join(withFifo, "a/b/fifo")]);
  expect(messageOf(withFifo)).toBe("a/b/fifo: not a regular file");
  expect(messageOf(join(withFifo, "a/b/fifo"))).toBe("fifo: not a regular file");
  const withLink = tree({ "a/b/x": "1" });
  symlinkSync("missing", join(withLink, "a/dangling"));
  expect(messageOf(withLink)).toBe("a/dangling: no such file or directory");
  const outside = tree({});
  symlinkSync("/", join(outside, "leaves"));
  expect(messageOf(outside)).toMatch(/^leaves: a symlink that leaves/);
  expect(messageOf("/missing")).toBe("/missing: no such file or directory");
});
