/** A bbolt bucket: names with values or nested buckets. */
export interface BoltBucket {
  readonly [name: string]: string | Buffer | BoltBucket;
}

const PAGE_BYTES = 4096;
const MAGIC = 0xed0cdaed;
const HEADER_BYTES = 16;
const ELEMENT_BYTES = 16;
const LEAF_PAGE = 2;
const ROOT_PAGE = 2;

/** Returns a bbolt database (file format 2) of one leaf page, in which every bucket is an inline one. */
export function boltDatabase(root: BoltBucket): Buffer {
  const leaf = leafPage(root);
  const pages = Math.ceil(leaf.length / PAGE_BYTES);
  leaf.writeUInt32LE(pages - 1, 12);
  const padding = Buffer.alloc(pages * PAGE_BYTES - leaf.length);
  return Buffer.concat([metaPage(), metaPage(), leaf, padding]);
}

function metaPage(): Buffer {
  const page = Buffer.alloc(PAGE_BYTES);
  page.writeUInt32LE(MAGIC, HEADER_BYTES);
  page.writeUInt32LE(2, HEADER_BYTES + 4);
  page.writeUInt32LE(PAGE_BYTES, HEADER_BYTES + 8);
  page.writeBigUInt64LE(BigInt(ROOT_PAGE), HEADER_BYTES + 16);
  return page;
}

/** bbolt sorts keys by their bytes. */
function leafPage(bucket: BoltBucket): Buffer {
  const entries = Object.entries(bucket)
    .map(([name, value]) => ({ key: Buffer.from(name), value }))
    .sort((a, b) => Buffer.compare(a.key, b.key));
  const head = Buffer.alloc(HEADER_BYTES + entries.length * ELEMENT_BYTES);
  head.writeUInt16LE(LEAF_PAGE, 8);
  head.writeUInt16LE(entries.length, 10);
  const data: Buffer[] = [];
  let end = head.length;
  for (const [i, { key, value }] of entries.entries()) {
    const isValue = typeof value === "string" || Buffer.isBuffer(value);
    const bytes = isValue ? Buffer.from(value) : inlineBucket(value);
    const at = HEADER_BYTES + i * ELEMENT_BYTES;
    head.writeUInt32LE(isValue ? 0 : 1, at);
    head.writeUInt32LE(end - at, at + 4);
    head.writeUInt32LE(key.length, at + 8);
    head.writeUInt32LE(bytes.length, at + 12);
    data.push(key, bytes);
    end += key.length + bytes.length;
  }
  return Buffer.concat([head, ...data]);
}

/** Root page number 0 and a sequence number, then the page itself. */
function inlineBucket(bucket: BoltBucket): Buffer {
  return Buffer.concat([Buffer.alloc(16), leafPage(bucket)]);
}
