import { readFully } from "../../io/file.ts";

/**
 * Reads a bbolt database (file format 2), the one containerd keeps its metadata in, while its owner goes on writing it.
 * There is no lock: containerd holds the only one for as long as it runs. What is read may thus be torn, and is a hint
 * that the reader has to check against something else. Nothing in the file makes the reader loop, throw or allocate
 * without bound.
 */
export class Bolt {
  readonly #fd: number;
  readonly #pageSize: number;
  readonly #root: number;
  #pagesLeft = MAX_PAGES;

  private constructor(fd: number, pageSize: number, root: number) {
    this.#fd = fd;
    this.#pageSize = pageSize;
    this.#root = root;
  }

  /** The database as of its last commit, or null for another kind of file. The descriptor stays the caller's. */
  static open(fd: number): Bolt | null {
    const first = readMeta(fd, 0);
    // Two meta pages take turns; a database of which only the second is whole is not worth a search for its page size.
    if (first === null) return null;
    const second = readMeta(fd, first.pageSize);
    const { pageSize, root } = second !== null && second.transaction > first.transaction ? second : first;
    return new Bolt(fd, pageSize, root);
  }

  root(): Bucket {
    return { page: this.#root };
  }

  /** The bucket of a name in a bucket. */
  bucket(parent: Bucket | null, name: string): Bucket | null {
    for (const [key, bucket] of this.entries(parent, name)) if (key === name) return bucket;
    return null;
  }

  /** The value of a name in a bucket. */
  value(parent: Bucket | null, name: string): Buffer | null {
    for (const [key, , value] of this.entries(parent, name)) if (key === name) return value;
    return null;
  }

  /**
   * The keys of a bucket in order, with the buckets that some of them are, and the values of the others. With `only`, pages that can't hold that key
   * are not read.
   */
  *entries(bucket: Bucket | null, only?: string): Generator<Entry> {
    if (bucket === null) return;
    const page = "inline" in bucket ? bucket.inline : this.#page(bucket.page);
    if (page !== null) yield* this.#pageEntries(page, only, 0);
  }

  *#pageEntries(page: Buffer, only: string | undefined, depth: number): Generator<Entry> {
    const elements = elementsOf(page);
    if (flagsOf(page) === LEAF_PAGE) {
      for (const at of elements) {
        const leaf = leafAt(page, at);
        if (leaf !== null) yield leaf;
      }
    } else if (flagsOf(page) === BRANCH_PAGE && depth < MAX_DEPTH) {
      for (const child of childrenFor(page, elements, only)) {
        const next = this.#page(child);
        if (next !== null) yield* this.#pageEntries(next, only, depth + 1);
      }
    }
  }

  #page(id: number): Buffer | null {
    if (this.#pagesLeft-- <= 0) return null;
    const page = readAt(this.#fd, this.#pageSize, id * this.#pageSize);
    if (page === null) return null;
    // A page may go on in those that follow it.
    const pages = 1 + page.readUInt32LE(OVERFLOW_AT);
    if (pages === 1 || pages * this.#pageSize > MAX_PAGE_BYTES) return page;
    return readAt(this.#fd, pages * this.#pageSize, id * this.#pageSize);
  }
}

/** A bucket with pages of its own, or a small one inside its parent's. */
export type Bucket = { readonly page: number } | { readonly inline: Buffer };

type Entry = readonly [key: string, bucket: Bucket | null, value: Buffer];

const MAGIC = 0xed0cdaed;
const FORMAT = 2;
const BRANCH_PAGE = 1;
const LEAF_PAGE = 2;
const BUCKET_ELEMENT = 1;

/** Offsets in a page: id 8 bytes, flags 2, count 2, overflow 4, then elements of 16 bytes. */
const FLAGS_AT = 8;
const COUNT_AT = 10;
const OVERFLOW_AT = 12;
const PAGE_HEADER_BYTES = 16;
const ELEMENT_BYTES = 16;
/** A bucket's value: the page of its root, or 0 and that page itself; and a sequence number. */
const BUCKET_HEADER_BYTES = 16;

const MAX_PAGES = 4096;
const MAX_DEPTH = 16;
const MAX_PAGE_BYTES = 16 * 1024 * 1024;
const SMALLEST_PAGE = 1024;
const LARGEST_PAGE = 64 * 1024;

function readMeta(
  fd: number,
  position: number,
): { pageSize: number; root: number; transaction: number } | null {
  const page = readAt(fd, PAGE_HEADER_BYTES + 64, position);
  const meta = page?.subarray(PAGE_HEADER_BYTES);
  if (meta === undefined || meta.readUInt32LE(0) !== MAGIC || meta.readUInt32LE(4) !== FORMAT) return null;
  const pageSize = meta.readUInt32LE(8);
  if (pageSize < SMALLEST_PAGE || pageSize > LARGEST_PAGE) return null;
  return { pageSize, root: readUint64(meta, 16), transaction: readUint64(meta, 48) };
}

function flagsOf(page: Buffer): number {
  return page.readUInt16LE(FLAGS_AT);
}

/** The offsets of a page's elements, as many as it has room for. */
function elementsOf(page: Buffer): number[] {
  const room = Math.floor((page.length - PAGE_HEADER_BYTES) / ELEMENT_BYTES);
  const count = Math.min(page.readUInt16LE(COUNT_AT), room);
  return Array.from({ length: count }, (_, i) => PAGE_HEADER_BYTES + i * ELEMENT_BYTES);
}

/** Leaf element: flags, position of the key from here, its size, the size of the value behind it: 4 bytes each. */
function leafAt(page: Buffer, at: number): Entry | null {
  const keyAt = at + page.readUInt32LE(at + 4);
  const valueAt = keyAt + page.readUInt32LE(at + 8);
  const end = valueAt + page.readUInt32LE(at + 12);
  if (end > page.length) return null;
  const key = page.toString("latin1", keyAt, valueAt);
  const isBucket = page.readUInt32LE(at) === BUCKET_ELEMENT && end - valueAt >= BUCKET_HEADER_BYTES;
  const value = page.subarray(valueAt, end);
  return [key, isBucket ? bucketOf(value) : null, value];
}

function bucketOf(value: Buffer): Bucket | null {
  const root = readUint64(value, 0);
  if (root !== 0) return { page: root };
  const inline = value.subarray(BUCKET_HEADER_BYTES);
  return inline.length < PAGE_HEADER_BYTES ? null : { inline };
}

/** Branch element: position of the key from here and its size, 4 bytes each, and the child's page, which starts with that key. */
function childrenFor(page: Buffer, elements: readonly number[], only: string | undefined): number[] {
  const children = elements.map((at) => readUint64(page, at + 8));
  if (only === undefined) return children;
  let last = 0;
  for (const [i, at] of elements.entries()) {
    const keyAt = at + page.readUInt32LE(at);
    if (page.toString("latin1", keyAt, keyAt + page.readUInt32LE(at + 4)) <= only) last = i;
  }
  return children.slice(last, last + 1);
}

/** Above 2^53 this is rounded: no page has such a number. */
function readUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}

/** Exactly so many bytes, or null. */
function readAt(fd: number, length: number, position: number): Buffer | null {
  if (!Number.isSafeInteger(position)) return null;
  const bytes = Buffer.allocUnsafe(length);
  try {
    return readFully(fd, bytes, position) === length ? bytes : null;
  } catch {
    return null;
  }
}
