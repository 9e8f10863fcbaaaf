import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DecoderError } from "../../../src/errors.ts";
import { rootfsEntries } from "../../../src/transport/rootfs.ts";
import { type NewTarEntry, packTar, tarEntries } from "../../../src/transport/tar.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

async function pack(entries: Iterable<NewTarEntry> | AsyncIterable<NewTarEntry>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of packTar(entries)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* cut(bytes: Uint8Array, size = 1000) {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function list(bytes: Uint8Array, size?: number) {
  const entries = [];
  for await (const entry of tarEntries(cut(bytes, size), "it")) entries.push(entry);
  return entries;
}

const file = (name: string, text: string): NewTarEntry => ({
  header: { name, type: "file", size: text.length, mode: 0o640, mtime: 1 },
  body: cut(Buffer.from(text)),
});

test("entries tell where their bodies lie", async () => {
  const long = `${"d".repeat(90)}/${"e".repeat(90)}/${"f".repeat(200)}`;
  const bytes = await pack([file("a", "first"), file(long, "second"), file("ü", "third")]);
  for (const size of [1, 511, 512, 513, bytes.length]) {
    const entries = await list(bytes, size);
    expect(entries.map(({ name }) => name)).toEqual(["a", long, "ü"]);
    const bodies = entries.map(({ offset, size }) => bytes.subarray(offset, offset + size).toString());
    expect(bodies).toEqual(["first", "second", "third"]);
  }
});

/** Writes a header's size anew, and the checksum that goes with it (POSIX ustar, "header block"). */
function withSize(archive: Buffer, size: Buffer): Buffer {
  const changed = Buffer.from(archive);
  changed.fill(0, 124, 136).set(size, 124);
  changed.fill(" ", 148, 156);
  const sum = changed.subarray(0, 512).reduce((all, byte) => all + byte, 0);
  changed.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return changed;
}

test.each([
  ["in no form that there is", "f84930303030303230303020"],
  ["below zero", `${"ff".repeat(11)}00`],
  ["beyond all files", `80${"ff".repeat(11)}`],
])("an entry with a size %s ends the reading", async (_what, size) => {
  const archive = await pack([file("a", "first"), file("b", "second")]);
  for (const type of ["0", "L", "x"]) {
    archive.write(type, 156);
    await expect(list(withSize(archive, Buffer.from(size, "hex")))).rejects.toMatchObject({
      code: "BAD_IMAGE",
    });
  }
});

test("GNU tar reads ids and times that don't fit in a header", async () => {
  const header = {
    name: "a",
    type: "file",
    size: 0,
    mode: 0o644,
    uid: 3_000_000,
    gid: 2_999_999,
    mtime: 5_000_000_000,
  } as const;
  const listing = execFileSync("tar", ["--numeric-owner", "--utc", "-tvf", "-"], {
    input: await pack([{ header }]),
  });
  expect(listing.toString()).toMatch(/3000000\/2999999 +0 2128-06-11/);
});

/** Entry a has its header at 0 and its body from 512 to 1512; b has its header at 1536 and one byte at 2048. */
const twoFiles = () => [file("a", "x".repeat(1000)), file("b", "y")];

test.each([1512, 1513, 1535, 1536, 2049, 2559, 2560])(
  "cut to %i bytes, after a body, it ends there, as it does for Go",
  async (length) => {
    const bytes = await pack(twoFiles());
    const names = (await list(bytes.subarray(0, length))).map(({ name }) => name);
    expect(names).toEqual(length < 2048 ? ["a"] : ["a", "b"]);
  },
);

test("cut within a header, a body or the end it is damaged", async () => {
  const bytes = await pack(twoFiles());
  for (const length of [1, 511, 513, 1000, 1511, 1537, 2047, 2048, 2561, 3071]) {
    await expect(list(bytes.subarray(0, length))).rejects.toMatchObject({ code: "BAD_IMAGE" });
  }
});

test("a header whose checksum is wrong is damaged", async () => {
  const bytes = await pack([file("a", "x")]);
  bytes[0] = 0x62;
  await expect(list(bytes)).rejects.toMatchObject({ code: "BAD_IMAGE" });
});

test("an error of the source is not taken for a damaged archive", async () => {
  async function* failing() {
    yield Buffer.alloc(100);
    throw new DecoderError("IO", "the device is gone");
  }
  const drain = async () => {
    for await (const _ of tarEntries(failing(), "it"));
  };
  await expect(drain()).rejects.toMatchObject({ code: "IO" });
});

test("a folder becomes what GNU tar unpacks to the same files", async () => {
  const root = join(folder, "root");
  mkdirSync(join(root, "b/sub"), { recursive: true });
  writeFileSync(join(root, "b/tool"), "program", { mode: 0o755 });
  writeFileSync(join(root, "b/big"), Buffer.alloc(300_000, "z"), { mode: 0o600 });
  writeFileSync(join(root, "ä name"), "");
  linkSync(join(root, "b/tool"), join(root, "b/twin"));
  symlinkSync("b/tool", join(root, "a-link"));
  execFileSync("mkfifo", [join(root, "fifo")]);
  for (const name of ["b/tool", "b/big", "ä name"]) utimesSync(join(root, name), 1000, 1_600_000_000);
  const bytes = await pack(rootfsEntries(root));

  expect((await list(bytes)).map(({ name, type }) => [name, type])).toEqual([
    ["a-link", "symlink"],
    ["b", "directory"],
    ["b/big", "file"],
    ["b/sub", "directory"],
    ["b/tool", "file"],
    ["b/twin", "link"],
    ["fifo", "fifo"],
    ["ä name", "file"],
  ]);
  expect(await pack(rootfsEntries(root))).toEqual(bytes);
  const compared = execFileSync("tar", ["--compare", "-f", "-", "-C", root], { input: bytes });
  expect(compared.toString()).toBe("");
});

test("a folder that isn't there, or is none", async () => {
  await expect(pack(rootfsEntries(join(folder, "none")))).rejects.toMatchObject({ code: "NOT_FOUND" });
  writeFileSync(join(folder, "file"), "");
  await expect(pack(rootfsEntries(join(folder, "file")))).rejects.toMatchObject({ code: "BAD_IMAGE" });
});
