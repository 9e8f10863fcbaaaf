import { execFileSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../../src/io/digester.ts";
import { writeDurably } from "../../../src/io/staging.ts";
import { fileOf } from "../../../src/transport/blob-output.ts";
import type { ImageDestination } from "../../../src/transport/destination.ts";
import { parseDestination } from "../../../src/transport/reference.ts";
import { rootOf, snapshot } from "../../support/layouts.ts";
import { temporaryFolder } from "../../support/temporary.ts";

/** Destinations don't look into what they are given. */
const ROOT_TYPE = "application/vnd.example.root";
const NEW = { replace: false };
const base = temporaryFolder();
let folder = base;
let count = 0;

beforeEach(() => {
  folder = join(base, String(count++));
  mkdirSync(folder);
});

const inFolder = (name: string) => join(folder, name);
const layoutPath = () => inFolder("layout");
const archivePath = () => inFolder("a.tar");
const suffix = (tag?: string) => (tag === undefined ? "" : `:${tag}`);
const layout = (tag?: string) => `oci:${layoutPath()}${suffix(tag)}`;
const archive = (tag?: string) => `oci-archive:${archivePath()}${suffix(tag)}`;
const open = async (destination: string, options = NEW) => await parseDestination(destination).open(options);
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text));
const blobIn = (text: string) => `blobs/sha256/${digestOf(bytesOf(text)).slice(7)}`;

interface Written {
  readonly root: { readonly mediaType: string; readonly digest: string; readonly size: number };
  readonly bytes: Uint8Array;
}

/** Adds a blob, which a commit can take for a manifest as well. */
async function put(destination: ImageDestination, text: string): Promise<Written> {
  const bytes = bytesOf(text);
  const output = await destination.newOutput();
  await writeDurably(fileOf(output), [bytes]);
  const root = { mediaType: ROOT_TYPE, digest: digestOf(bytes), size: bytes.length };
  await destination.adopt(output, root.digest);
  return { root, bytes };
}

async function commit(destination: ImageDestination, { root, bytes }: Written): Promise<void> {
  await destination.commit(root, bytes);
}

async function write(name: string, text: string, options = NEW): Promise<void> {
  const destination = await open(name, options);
  try {
    await commit(destination, await put(destination, text));
  } finally {
    await destination.close();
  }
}

describe("a layout", () => {
  test("that is new appears as a whole, readable for all", async () => {
    const destination = await open(layout("v1"));
    const root = await put(destination, "one");
    expect(existsSync(layoutPath())).toBe(false);
    await commit(destination, root);
    await destination.close();
    expect([...snapshot(layoutPath()).keys()]).toEqual([
      "blobs",
      "blobs/sha256",
      blobIn("one"),
      "index.json",
      "oci-layout",
    ]);
    expect(statSync(layoutPath()).mode & 0o777).toBe(0o777 & ~process.umask());
    expect(readdirSync(folder)).toEqual(["layout"]);
  });

  test("gets more images, and keeps what its index says besides", async () => {
    await write(layout("v1"), "one");
    const index = join(layoutPath(), "index.json");
    const before = JSON.parse(readFileSync(index, "utf8"));
    writeFileSync(index, JSON.stringify({ ...before, "x.more": 12 }, null, 2));
    await write(layout("v2"), "two");
    const after = readFileSync(index, "utf8");
    expect(JSON.parse(after)).toMatchObject({
      "x.more": 12,
      manifests: [before.manifests[0], { digest: digestOf(bytesOf("two")) }],
    });
    expect(after).toContain('\n  "x.more": 12');
    expect(readdirSync(layoutPath()).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
  });

  test("keeps a tag that is taken, unless it may be replaced", async () => {
    await write(layout("v1"), "one");
    const before = snapshot(folder);
    await expect(write(layout("v1"), "two")).rejects.toMatchObject({ code: "EXISTS" });
    expect(snapshot(folder)).toEqual(before);
    await write(layout("v1"), "two", { replace: true });
    expect(rootOf(layoutPath()).digest).toBe(digestOf(bytesOf("two")));
  });

  const tags = () => {
    const { manifests } = JSON.parse(readFileSync(join(layoutPath(), "index.json"), "utf8"));
    return manifests.map((it: { annotations: object }) => Object.values(it.annotations)[0]);
  };

  test.each([
    ["that is new", false],
    ["that exists", true],
  ])("%s holds the images of all that write to it at once", async (_, existed) => {
    if (existed) await write(layout("v0"), "zero");
    const names = ["v1", "v2", "v3", "v4", "v5"];
    const opened = await Promise.all(names.map((tag) => open(layout(tag))));
    const written = await Promise.all(opened.map((it, i) => put(it, `text ${i % 3}`)));
    await Promise.all(opened.map((it, i) => commit(it, written[i] as Written)));
    await Promise.all(opened.map((it) => it.close()));
    expect(tags().sort()).toEqual(existed ? ["v0", ...names] : names);
    expect(readdirSync(folder)).toEqual(["layout"]);
    expect(readdirSync(layoutPath()).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
  });

  test("that two make at once under one tag holds one image, and the other run says so", async () => {
    const opened = [await open(layout("v1")), await open(layout("v1"))] as const;
    const [one, two] = [await put(opened[0], "one"), await put(opened[1], "two")];
    await commit(opened[0], one);
    await expect(commit(opened[1], two)).rejects.toMatchObject({ code: "EXISTS" });
    await Promise.all(opened.map((it) => it.close()));
    expect(rootOf(layoutPath()).digest).toBe(one.root.digest);
    expect(existsSync(inFolder(`layout/${blobIn("two")}`))).toBe(false);
  });

  test("does not get an image that counts on a blob which was removed meanwhile", async () => {
    await write(layout("v1"), "one");
    const before = readFileSync(join(layoutPath(), "index.json"), "utf8");
    const destination = await open(layout("v2"));
    const { root: one } = await put(await open(layout("v3")), "one");
    await destination.putManifest(one, bytesOf("one"));
    const two = await put(destination, "two");
    rmSync(join(layoutPath(), blobIn("one")));
    await expect(commit(destination, two)).rejects.toMatchObject({ code: "IO" });
    await destination.close();
    expect(readFileSync(join(layoutPath(), "index.json"), "utf8")).toBe(before);
    expect(existsSync(join(layoutPath(), blobIn("two")))).toBe(false);
  });

  test.each([
    ["a file of another size", (path: string) => writeFileSync(path, "damaged")],
    ["a FIFO", (path: string) => void execFileSync("mkfifo", [path])],
  ])("gets a blob anew where there is %s", async (_, spoil) => {
    await write(layout("v1"), "one");
    const path = join(layoutPath(), blobIn("one"));
    rmSync(path);
    spoil(path);
    await write(layout("v2"), "one");
    expect(readFileSync(path, "utf8")).toBe("one");
  });

  test("has one image without a tag", async () => {
    await write(layout(), "one");
    await write(layout("v1"), "two");
    await expect(write(layout(), "three")).rejects.toMatchObject({ code: "EXISTS" });
  });

  test("notices that a tag was taken in the meantime", async () => {
    await write(layout("v1"), "one");
    const destination = await open(layout("v2"));
    const root = await put(destination, "three");
    await write(layout("v2"), "two");
    const before = snapshot(layoutPath());
    await expect(commit(destination, root)).rejects.toMatchObject({ code: "EXISTS" });
    await destination.close();
    expect(new Map([...before].filter(([name]) => !name.startsWith(".ctd")))).toEqual(snapshot(layoutPath()));
  });

  test("is not made of a folder with something else in it", async () => {
    mkdirSync(layoutPath());
    writeFileSync(join(layoutPath(), "photo.jpg"), "");
    await expect(open(layout())).rejects.toMatchObject({ code: "EXISTS" });
    writeFileSync(join(folder, "file"), "");
    await expect(open(`oci:${inFolder("file")}`)).rejects.toMatchObject({
      code: "EXISTS",
    });
    expect(readdirSync(layoutPath())).toEqual(["photo.jpg"]);
  });

  test("is made of an empty folder", async () => {
    mkdirSync(layoutPath());
    await write(layout("v1"), "one");
    expect(rootOf(layoutPath()).size).toBe(3);
  });

  test("loses what was added when putting it in place fails half way", async () => {
    await write(layout("v1"), "one");
    const [first = "", second = ""] = ["two", "three"].sort((a, b) => (blobIn(a) < blobIn(b) ? -1 : 1));
    // A folder of that name takes no file's place.
    mkdirSync(join(layoutPath(), blobIn(second)));
    const before = snapshot(layoutPath());
    const destination = await open(layout("v2"));
    const root = await put(destination, first);
    await put(destination, second);
    await expect(commit(destination, root)).rejects.toMatchObject({ code: "IO" });
    await destination.close();
    expect(snapshot(layoutPath())).toEqual(before);
  });
});

describe("leftovers", () => {
  const leftover = (pid: number, host = hostname()) => `.ctd-decoder-${host}-${pid}-abc123`;
  /** Beyond what Linux gives. */
  const DEAD = 2 ** 22 + 1;

  test("of dead processes are removed, others are not", async () => {
    const names = [leftover(DEAD), leftover(process.ppid), leftover(DEAD, "elsewhere"), ".ctd-decoder-mine"];
    for (const name of names) mkdirSync(join(folder, name, "blobs"), { recursive: true });
    await write(archive(), "one");
    expect(readdirSync(folder).sort()).toEqual([...names.slice(1), "a.tar"].sort());
  });

  test.skipIf(process.getuid?.() !== 0)(
    "of other users are not touched (skipped without root, who alone can make one)",
    async () => {
      const foreign = join(folder, leftover(DEAD));
      mkdirSync(foreign);
      writeFileSync(join(foreign, "file"), "");
      chownSync(foreign, 65534, 65534);
      await write(archive(), "one");
      expect(existsSync(join(foreign, "file"))).toBe(true);
    },
  );

  test("that are links are left alone, and so is what they lead to", async () => {
    mkdirSync(join(folder, "precious"));
    symlinkSync("precious", join(folder, leftover(DEAD)));
    await write(archive(), "one");
    expect(readdirSync(folder).sort()).toEqual([leftover(DEAD), "a.tar", "precious"].sort());
  });

  /** What a SIGKILL leaves between the first rename of a commit and the last. */
  function halfCommitted(): string {
    const staging = join(layoutPath(), leftover(DEAD));
    mkdirSync(staging);
    writeFileSync(join(staging, "journal"), blobIn("half"));
    writeFileSync(join(staging, "index.json"), "{}");
    writeFileSync(join(layoutPath(), blobIn("half")), "half");
    return staging;
  }

  test("of a commit that was cut short take their blobs with them", async () => {
    await write(layout("v1"), "one");
    const staging = halfCommitted();
    utimesSync(join(layoutPath(), "index.json"), 1, 1);
    await write(layout("v2"), "two");
    expect([existsSync(staging), existsSync(join(layoutPath(), blobIn("half")))]).toEqual([false, false]);
    expect(existsSync(join(layoutPath(), blobIn("one")))).toBe(true);
  });

  test("leave blobs that a later commit may count on, and those of a commit that was done", async () => {
    await write(layout("v1"), "one");
    const staging = halfCommitted();
    utimesSync(join(staging, "journal"), 1, 1);
    await write(layout("v2"), "two");
    expect(existsSync(join(layoutPath(), blobIn("half")))).toBe(true);

    rmSync(join(halfCommitted(), "index.json"));
    utimesSync(join(layoutPath(), "index.json"), 1, 1);
    await write(layout("v3"), "three");
    expect(existsSync(join(layoutPath(), blobIn("half")))).toBe(true);
  });

  test("name no files outside the layout", async () => {
    await write(layout("v1"), "one");
    const staging = halfCommitted();
    writeFileSync(join(staging, "journal"), "../precious\nblobs/sha256/../../oci-layout\n");
    writeFileSync(join(folder, "precious"), "");
    utimesSync(join(layoutPath(), "index.json"), 1, 1);
    await write(layout("v2"), "two");
    expect([existsSync(join(folder, "precious")), existsSync(join(layoutPath(), "oci-layout"))]).toEqual([
      true,
      true,
    ]);
  });
});

describe("an archive", () => {
  test("is the same each time, and a layout when unpacked", async () => {
    await write(archive("v1"), "one");
    const first = readFileSync(archivePath());
    await write(archive("v1"), "one", { replace: true });
    expect(readFileSync(archivePath())).toEqual(first);
    execFileSync("tar", ["-xf", archivePath(), "-C", folder]);
    expect(rootOf(folder).digest).toBe(digestOf(bytesOf("one")));
    expect(readFileSync(join(folder, blobIn("one")), "utf8")).toBe("one");
  });

  test("that is there already stays", async () => {
    writeFileSync(archivePath(), "precious");
    await expect(open(archive())).rejects.toMatchObject({ code: "EXISTS" });
    expect(readFileSync(archivePath(), "utf8")).toBe("precious");
  });

  test.each(["pipe", "link", "dangling link", "folder"])("is never put in place of a %s", async (kind) => {
    const target = join(folder, "target");
    if (kind === "link") writeFileSync(target, "precious");
    if (kind === "pipe") execFileSync("mkfifo", [archivePath()]);
    else if (kind === "folder") mkdirSync(archivePath());
    else symlinkSync(target, archivePath());
    const before = lstatSync(archivePath()).ino;
    await expect(open(archive(), { replace: true })).rejects.toMatchObject({
      code: "EXISTS",
      message: `${archivePath()} already exists and is not a regular file`,
      hint: "choose another name; oci-archive:- writes to standard output",
    });
    expect(lstatSync(archivePath()).ino).toBe(before);
  });

  test("that came in the meantime stays", async () => {
    const destination = await open(archive());
    const root = await put(destination, "one");
    writeFileSync(archivePath(), "precious");
    await expect(commit(destination, root)).rejects.toMatchObject({ code: "EXISTS" });
    await destination.close();
    expect(readFileSync(archivePath(), "utf8")).toBe("precious");
    expect(readdirSync(folder)).toEqual(["a.tar"]);
  });
});

test("a folder that isn't there can't be written to", async () => {
  await expect(open(`oci-archive:${inFolder("none/a.tar")}`)).rejects.toMatchObject({
    code: "IO",
    message: expect.not.stringContaining(".ctd-decoder"),
  });
});
