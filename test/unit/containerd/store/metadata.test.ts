import { closeSync, mkdtempSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Bolt } from "../../../../src/containerd/store/metadata.ts";
import { boltDatabase } from "../../../support/bolt.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
/** Where the first element of the root's leaf page begins, after two meta pages and the page's header. */
const ELEMENT = 2 * 4096 + 16;

/** The names in a database's root, and whether nothing was left out. */
function read(bytes: Buffer): { readonly names: readonly string[]; readonly isWhole: boolean | undefined } {
  const path = join(mkdtempSync(join(folder, "bolt-")), "meta.db");
  writeFileSync(path, bytes);
  const fd = openSync(path, "r");
  try {
    const database = Bolt.open(fd);
    const names: string[] = [];
    for (const [name, bucket] of database?.entries(database.root()) ?? []) {
      names.push(name);
      for (const [inner] of database?.entries(bucket) ?? []) names.push(`${name}/${inner}`);
    }
    return { names, isWhole: database?.isWhole };
  } finally {
    closeSync(fd);
  }
}

const database = () => boltDatabase({ a: { b: "1" }, c: "2" });

test("a database is read whole", () => {
  expect(read(database())).toEqual({ names: ["a", "a/b", "c"], isWhole: true });
});

test("a bucket's page beyond the end of the file is noticed", () => {
  const bytes = database();
  const valueAt = ELEMENT + bytes.readUInt32LE(ELEMENT + 4) + bytes.readUInt32LE(ELEMENT + 8);
  bytes.writeBigUInt64LE(1000n, valueAt);
  expect(read(bytes)).toEqual({ names: ["a", "c"], isWhole: false });
});

test("a value that would end after its page is left out, and noticed", () => {
  const second = ELEMENT + 16;
  const whole = database();
  const room = 4096 - (second + whole.readUInt32LE(second + 4) - 2 * 4096) - "c".length;
  const sized = (bytes: number) => {
    const changed = database();
    changed.writeUInt32LE(bytes, second + 12);
    return changed;
  };
  expect(read(sized(room))).toEqual({ names: ["a", "a/b", "c"], isWhole: true });
  expect(read(sized(room + 1))).toEqual({ names: ["a", "a/b"], isWhole: false });
});

test.each([
  [1023, undefined],
  [1024, false],
  [65_536, false],
  [65_537, undefined],
])("a database with pages of %i bytes is read if that is from 1 to 64 KiB", (size, isWhole) => {
  const changed = database();
  changed.writeUInt32LE(size, 16 + 8);
  expect(read(changed).isWhole).toBe(isWhole);
});

test.each([0, 1, 2, 5])("a page that continues in %i pages after it is read to its end", (more) => {
  const names = Array.from({ length: more * 4 + 1 }, (_, i) => String(100 + i));
  // Four names to a page of 4 KiB.
  const bytes = boltDatabase(Object.fromEntries(names.map((name) => [name, Buffer.alloc(960, name)])));
  expect(bytes.readUInt32LE(2 * 4096 + 12)).toBe(more);
  expect(read(bytes)).toEqual({ names, isWhole: true });
});

test.each([
  ["its magic number", 0],
  ["its version", 4],
])("a page of meta data with another %s does not count", (_what, at) => {
  const changed = database();
  changed.writeUInt32LE(1, 16 + at);
  // The second meta page names no page of data.
  changed.fill(0, 4096, 2 * 4096);
  expect(read(changed)).toEqual({ names: [], isWhole: undefined });
});
