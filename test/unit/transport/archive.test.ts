import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { digestOf } from "../../../src/io/digester.ts";
import { readSmall } from "../../../src/transport/blob.ts";
import { parseSource } from "../../../src/transport/reference.ts";
import { type NewTarEntry, packTar } from "../../../src/transport/tar.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
let count = 0;

const MANIFEST = Buffer.from("{}");
const DIGEST = digestOf(MANIFEST);
const BLOB = `blobs/sha256/${DIGEST.slice("sha256:".length)}`;
const ROOT = {
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  digest: DIGEST,
  size: MANIFEST.length,
};
const INDEX = JSON.stringify({ schemaVersion: 2, manifests: [ROOT] });

const file = (name: string, content: Uint8Array | string): NewTarEntry => {
  const bytes = Buffer.from(content);
  async function* body() {
    yield bytes;
  }
  return { header: { name, type: "file", size: bytes.length, mode: 0o644, mtime: 0 }, body: body() };
};
const special = (
  name: string,
  type: "symlink" | "link" | "character-device" | "fifo",
  linkname = "x",
): NewTarEntry => ({
  header: { name, type, linkname, size: 0, mode: 0o644, mtime: 0 },
});
const usual = () => [
  file("oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
  file("index.json", INDEX),
  file(BLOB, MANIFEST),
];

async function write(entries: readonly NewTarEntry[]): Promise<string> {
  return store(Buffer.concat(await collect(packTar(entries))));
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

function store(bytes: Uint8Array): string {
  const path = join(folder, `${count++}.tar`);
  writeFileSync(path, bytes);
  return path;
}

/** An archive of so many folders, and the two empty blocks at its end. */
async function folders(count: number): Promise<string> {
  const [header] = await collect(
    packTar([{ header: { name: "a", type: "directory", size: 0, mode: 0o755, mtime: 0 } }]),
  );
  const blocks = Buffer.alloc((count + 2) * 512);
  blocks.fill(header?.subarray(0, 512) ?? "", 0, count * 512);
  return store(blocks);
}

const open = async (path: string) => await parseSource(`oci-archive:${path}`).open();

test("an archive is read in place, whatever its order and the form of its names", async () => {
  for (const entries of [usual(), usual().reverse(), usual().map(dotted)]) {
    const source = await open(await write(entries));
    expect(source.root).toEqual(ROOT);
    expect(await readSmall(source, ROOT, 10)).toEqual(MANIFEST);
    await source.close();
  }
});

test("a compressed archive is read too", async () => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of packTar(usual())) chunks.push(chunk);
  const source = await open(store(gzipSync(Buffer.concat(chunks))));
  expect(await readSmall(source, ROOT, 10)).toEqual(MANIFEST);
  await source.close();
});

function dotted(entry: NewTarEntry): NewTarEntry {
  return { ...entry, header: { ...entry.header, name: `./${entry.header.name}` } };
}

test.each([
  ["a name that leads up", [file("../evil", "x")]],
  ["a name that leads up and down", [file("blobs/../../evil", "x")]],
  ["an absolute name", [file("/etc/passwd", "x")]],
  ["the index twice", [file("index.json", INDEX)]],
  ["a blob twice, once by another name", [file(`blobs//sha256/${BLOB.slice(13)}`, "x")]],
])("an archive with %s is refused", async (_, entries) => {
  const path = await write([...usual(), ...entries]);
  await expect(open(path)).rejects.toMatchObject({ code: "BAD_IMAGE" });
});

test.each(["symlink", "link", "character-device", "fifo"] as const)(
  "a blob that is a %s is refused",
  async (type) => {
    const path = await write([...usual().slice(0, 2), special(BLOB, type, "/etc/passwd")]);
    const source = await open(path);
    await expect(readSmall(source, ROOT, 10)).rejects.toMatchObject({ code: "BAD_IMAGE" });
  },
);

test.each([
  ["of something else", [file("hello", "x")]],
  ["without an index", [usual()[0]]],
  ["of a later layout version", [file("oci-layout", '{"imageLayoutVersion":"2.0.0"}'), usual()[1]]],
])("an archive %s is no image", async (_, entries) => {
  const path = await write(entries.filter((it) => it !== undefined));
  await expect(open(path)).rejects.toMatchObject({ code: "BAD_IMAGE" });
});

test("an archive of docker save says how to read it", async () => {
  const path = await write([file("manifest.json", "[]")]);
  await expect(open(path)).rejects.toMatchObject({ hint: expect.stringContaining("docker-archive:") });
});

test("what is no tar archive, and what isn't there", async () => {
  await expect(open(store(Buffer.alloc(2000, "x")))).rejects.toMatchObject({ code: "BAD_IMAGE" });
  await expect(open(store(gzipSync("x").subarray(0, 15)))).rejects.toMatchObject({ code: "BAD_IMAGE" });
  await expect(open(join(folder, "none"))).rejects.toMatchObject({ code: "NOT_FOUND" });
  await expect(open(folder)).rejects.toMatchObject({ code: "BAD_IMAGE" });
});

test("a missing blob, one of another size and one of other bytes are told apart", async () => {
  const cases = [
    { blob: [], code: "NOT_FOUND" },
    { blob: [file(BLOB, "{}x")], code: "SIZE_MISMATCH" },
    { blob: [file(BLOB, "[]")], code: "DIGEST_MISMATCH" },
  ];
  for (const { blob, code } of cases) {
    const source = await open(await write([...usual().slice(0, 2), ...blob]));
    await expect(readSmall(source, ROOT, 10)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(DIGEST),
    });
  }
});

test("a file that grew since the archive was opened changes nothing, one that was cut is an error", async () => {
  const path = await write(usual());
  const source = await open(path);
  writeFileSync(path, Buffer.alloc(700));
  await expect(readSmall(source, ROOT, 10)).rejects.toMatchObject({ code: "SIZE_MISMATCH" });
});

test("entries are counted, and an index is no larger than a registry takes", async () => {
  // 65,536 folders are too few files for an image.
  await expect(open(await folders(65_536))).rejects.toMatchObject({ code: "BAD_IMAGE" });
  await expect(open(await folders(65_537))).rejects.toMatchObject({ code: "LIMIT" });
  const index = (size: number) => [file("oci-layout", "{}"), file("index.json", Buffer.alloc(size))];
  await expect(open(await write(index(4_194_304)))).rejects.toMatchObject({ code: "BAD_IMAGE" });
  await expect(open(await write(index(4_194_305)))).rejects.toMatchObject({ code: "LIMIT" });
});
