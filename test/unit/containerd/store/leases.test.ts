import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { leasedDigests } from "../../../../src/containerd/store/leases.ts";
import { Bolt } from "../../../../src/containerd/store/metadata.ts";
import { fixture } from "../../../support/content-store.ts";
import { openBelow } from "../../../support/descriptors.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
mkdirSync(join(folder, "io.containerd.metadata.v1.bolt"));

function leases(database: Uint8Array): string[][] {
  writeFileSync(join(folder, "io.containerd.metadata.v1.bolt/meta.db"), database);
  return leasedDigests(join(folder, "io.containerd.content.v1.content"));
}

test("the blobs of a pull under way share a lease", () => {
  expect(leases(fixture("one-pull"))).toEqual([
    [
      "sha256:0b35b5c347231ce2f99b06d796b84ddc230d09e827ad0fcc523c073249b26013",
      "sha256:30a2b7fd207d9fbfa568b3d6c48463500f70fea0dcdc4f06ba0a169eb689b43f",
      "sha256:3dbac8cf7199cf6b340e512371bceaa92a8140119f140e3b03e94a3a8210756c",
      "sha256:d1b56ab689109d765b0b1704de9e76b379678c4acd4340572f025d70c34867fd",
      "sha256:e00cd854383a7aa20f3d2a226d4b69cb8fa64bb59984f7bdbf76dc813916b481",
      "sha256:efb1cfc9a37d459ea0eb24595630d3ec7aa9a4ff16e364d04925904430de994d",
    ],
  ]);
});

test("a database of several levels is read to its end", () => {
  const found = leases(fixture("300-leases"));
  expect(found).toHaveLength(301);
  expect(found.filter((it) => it.length > 0)).toEqual([
    [
      "sha256:6134a6b83d22a30a1b523d05a27cf46b655712fb650dea6a6c81c09d0dccbc2f",
      "sha256:76069296cf9280e2416705c6c9bda3542e5541e0ce8429869451d893daae5b90",
      "sha256:8fb4cf51a21d68d2b032b56f7154cab0d0b1f08e0308d1590f6567922f4ef00b",
      "sha256:99aac6f319faa373d5eba31f4c4b081ce0a8fb8a1637c27a3bb2049331319e13",
    ],
  ]);
});

test("of the two meta pages the one of the last commit counts", () => {
  // The transaction's number stands at 48 in the meta data, which follow the page's header of 16 bytes.
  const database = fixture("one-pull");
  const [first, second] = [database.readBigUInt64LE(16 + 48), database.readBigUInt64LE(4096 + 16 + 48)];
  const last = first > second ? 0 : 4096;
  const torn = Buffer.from(database);
  torn.writeUInt32LE(0xffff, last + 16 + 16);
  expect(leases(torn)).toEqual([]);
  torn.writeBigUInt64LE(0n, last + 16 + 48);
  expect(leases(torn)).toHaveLength(1);
});

test("without a database, or with another kind of file, there is nothing to be told", () => {
  expect(leasedDigests(join(folder, "missing/io.containerd.content.v1.content"))).toEqual([]);
  expect(leases(Buffer.alloc(0))).toEqual([]);
  expect(leases(Buffer.alloc(100_000, "SQLite format 3\0"))).toEqual([]);
  expect(leases(fixture("one-pull").subarray(0, 8192))).toEqual([]);
});

test("a torn database ends the search, whatever stands in it", () => {
  const database = fixture("one-pull");
  const used = database.subarray(0, database.lastIndexOf("sha256:") + 4096);
  const torn = fc.array(
    fc.tuple(fc.nat(used.length - 1), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 255))),
    {
      minLength: 1,
      maxLength: 60,
    },
  );
  fc.assert(
    fc.property(torn, (changes) => {
      const copy = Buffer.from(database);
      for (const [at, byte] of changes) copy[at] = byte;
      for (const digest of leases(copy).flat()) expect(digest).toMatch(/^sha(256|512):[0-9a-f]+$/);
    }),
    { numRuns: 1000 },
  );
});

test("a page that is its own child ends the search", () => {
  const database = fixture("one-pull").subarray(0, 3 * 4096);
  const page = database.subarray(2 * 4096);
  page.writeUInt16LE(1, 8); // a branch page
  page.writeUInt16LE(200, 10);
  page.writeUInt32LE(0, 12);
  for (let i = 0; i < 200; i++) {
    page.writeUInt32LE(0, 16 + 16 * i);
    page.writeUInt32LE(0, 16 + 16 * i + 4);
    page.writeBigUInt64LE(2n, 16 + 16 * i + 8);
  }
  for (const meta of [0, 4096]) database.writeBigUInt64LE(2n, meta + 16 + 16);
  expect(leases(database)).toEqual([]);
  // Where every branch is followed, not only the one that a name leads to.
  expect([...everyEntry(database)]).toEqual([]);
});

test("no more pages than the limit are read", () => {
  const database = Buffer.alloc(5 * 4096);
  fixture("one-pull").copy(database, 0, 0, 2 * 4096);
  for (const meta of [0, 4096]) database.writeBigUInt64LE(2n, meta + 16 + 16);
  // The root has 250 children, each the same page; that one has 200, each the same leaf with one entry.
  for (const [number, children] of [
    [2n, 250],
    [3n, 200],
  ] as const) {
    const page = database.subarray(Number(number) * 4096);
    page.writeUInt16LE(1, 8); // a branch page
    page.writeUInt16LE(children, 10);
    for (let i = 0; i < children; i++) page.writeBigUInt64LE(number + 1n, 16 + 16 * i + 8);
  }
  writeLeaf(database.subarray(4 * 4096));
  const found = [...everyEntry(database)].length;
  // 4,096 pages: the root, 20 whole branches of 1 + 200 pages, and a branch with 74 leaves.
  expect(found).toBe(20 * 200 + 74);
});

/** A leaf page with one entry, whose key and value have one byte each. */
function writeLeaf(page: Buffer): void {
  page.writeUInt16LE(2, 8);
  page.writeUInt16LE(1, 10);
  page.writeUInt32LE(16, 16 + 4); // the key's offset from its element, then the lengths of key and value
  page.writeUInt32LE(1, 16 + 8);
  page.writeUInt32LE(1, 16 + 12);
}

function writeBranch(page: Buffer, children: readonly number[]): void {
  page.writeUInt16LE(1, 8);
  page.writeUInt16LE(children.length, 10);
  for (const [i, child] of children.entries()) page.writeBigUInt64LE(BigInt(child), 16 + 16 * i + 8);
}

/** A database whose root is page 2. The other pages are empty. */
function emptyPages(count: number): { database: Buffer; page: (number: number) => Buffer } {
  const database = Buffer.alloc(count * 4096);
  fixture("one-pull").copy(database, 0, 0, 2 * 4096);
  for (const meta of [0, 4096]) database.writeBigUInt64LE(2n, meta + 16 + 16);
  return { database, page: (number) => database.subarray(number * 4096) };
}

test.each([
  [16, 1],
  [17, 0],
])("a leaf below %i branches: %i entries are read", (depth, entries) => {
  const { database, page } = emptyPages(3 + depth);
  for (let i = 0; i < depth; i++) writeBranch(page(2 + i), [3 + i]);
  writeLeaf(page(2 + depth));
  expect([...everyEntry(database)]).toHaveLength(entries);
});

test.each([
  [4096, 1],
  [4097, 0],
])("a page of %i times 4 KiB: %i entries are read", (pages, entries) => {
  const { database, page } = emptyPages(2 + pages);
  writeLeaf(page(2));
  page(2).writeUInt32LE(pages - 1, 12);
  expect([...everyEntry(database)]).toHaveLength(entries);
});

test.each([
  [15, 1],
  [16, 0],
])("a leaf after %i pages of 16 MiB: %i entries are read", (large, entries) => {
  const { database, page } = emptyPages(5);
  writeBranch(page(2), [...Array<number>(large).fill(3), 4]);
  // The file ends before the page does, so that the test reads little.
  page(3).writeUInt32LE(4095, 12);
  writeLeaf(page(4));
  expect([...everyEntry(database)]).toHaveLength(entries);
});

test("a page that claims more bytes than it has is given up, however often its keys overlap", () => {
  const [count, pages] = [65_535, 300];
  const database = Buffer.alloc((4 + pages) * 4096);
  fixture("one-pull").copy(database, 0, 0, 2 * 4096);
  for (const meta of [0, 4096]) database.writeBigUInt64LE(4n, meta + 16 + 16);
  const page = database.subarray(4 * 4096);
  page.writeUInt16LE(2, 8); // a leaf page
  page.writeUInt16LE(count, 10);
  page.writeUInt32LE(pages - 1, 12);
  for (let i = 0; i < count; i++) {
    page.writeUInt32LE(1, 16 + 16 * i);
    page.writeUInt32LE(16 * (count - i), 16 + 16 * i + 4);
    page.writeUInt32LE(page.length - 16 - 16 * count - 16, 16 + 16 * i + 8);
    page.writeUInt32LE(16, 16 + 16 * i + 12);
  }
  // Each key spans the rest of the page: one fits, and the next one would be counted twice.
  expect([...everyEntry(database)].length).toBeLessThan(10);
  expect(leases(database)).toEqual([]);
});

test("an entry that claims to lie past its page is left out", () => {
  const database = Buffer.alloc(3 * 4096);
  fixture("one-pull").copy(database, 0, 0, 2 * 4096);
  for (const meta of [0, 4096]) database.writeBigUInt64LE(2n, meta + 16 + 16);
  const page = database.subarray(2 * 4096);
  page.writeUInt16LE(2, 8); // a leaf page
  // Positions of keys of one byte, with a value of one byte after each. The page has 4,096 bytes.
  const keys = [4094, 4095, 4096, 10_000, 100];
  page.writeUInt16LE(keys.length, 10);
  for (const [i, keyAt] of keys.entries()) {
    const element = 16 + 16 * i;
    page.writeUInt32LE(keyAt - element, element + 4);
    page.writeUInt32LE(1, element + 8);
    page.writeUInt32LE(1, element + 12);
  }
  page.write("no", 4094);
  page.write("kv", 100);
  const found = [...everyEntry(database)].map(([key, , value]) => [key, value.toString()]);
  expect(found).toEqual([
    ["n", "o"],
    ["k", "v"],
  ]);
});

test("a page that claims more pages after it than there are has no digests of another form", () => {
  const database = fixture("one-pull");
  for (let page = 2; page * 4096 < database.length; page++) {
    const copy = Buffer.from(database);
    copy.writeUInt32LE(1_000_000, page * 4096 + 12);
    for (const digest of leases(copy).flat()) expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  }
});

function* everyEntry(database: Uint8Array) {
  const path = join(folder, "looped.db");
  writeFileSync(path, database);
  const fd = openSync(path, "r");
  try {
    const bolt = Bolt.open(fd);
    if (bolt === null) throw new Error("it is no database");
    yield* bolt.entries(bolt.root());
  } finally {
    closeSync(fd);
  }
}

test("the database is closed again", () => {
  leases(fixture("one-pull"));
  leases(Buffer.alloc(100_000, "SQLite format 3\0"));
  expect(openBelow(folder)).toEqual([]);
});
