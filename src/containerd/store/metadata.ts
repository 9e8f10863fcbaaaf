import { readFully } from "../../io/file.ts";
import * as LIMITS from "../../limits.ts";

const SMALLEST_PAGE = 1024;
const LARGEST_PAGE = 64 * 1024;

/**
 * Reads a bbolt database (file format 2) while its owner keeps writing to it. containerd keeps its metadata in one.
 * The reader takes no lock, because containerd holds the only one for as long as it runs. The data may thus be torn, so every
 * result is a hint that must be checked. Nothing in the file makes the reader loop, throw or allocate without bound.
 */
export class Bolt {
  readonly #fd: number;
  readonly #pageSize: number;
  readonly #root: number;
  #pagesLeft: number;
  #bytesLeft = LIMITS.metadataBytes;
  #isWhole = true;

  private constructor(fd: number, meta: { readonly pageSize: number; readonly root: number }, pages: number) {
    this.#fd = fd;
    this.#pageSize = meta.pageSize;
    this.#root = meta.root;
    this.#pagesLeft = pages;
  }

  /**
   * Opens the database as of its last commit; null for another kind of file. The caller keeps the descriptor.
   * @param pages limit of the pages that are read
   */
  static open(fd: number, pages: number = LIMITS.metadataPages): Bolt | null {
    const first = readMeta(fd, 0);
    // Two meta pages alternate. If only the second one is intact, a search for its page size is not worthwhile.
    if (first === null) return null;
    const second = readMeta(fd, first.pageSize);
    return new Bolt(fd, second !== null && second.transaction > first.transaction ? second : first, pages);
  }

  /** False when a limit or torn data left something out of what was read so far. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  root(): Bucket {
    return { page: this.#root };
  }

  /** Returns the nested bucket with this name. */
  bucket(parent: Bucket | null, name: string): Bucket | null {
    for (const [key, bucket] of this.entries(parent, name)) if (key === name) return bucket;
    return null;
  }

  /** Returns the value with this name in a bucket. */
  value(parent: Bucket | null, name: string): Buffer | null {
    for (const [key, , value] of this.entries(parent, name)) if (key === name) return value;
    return null;
  }

  /**
   * The entries of a bucket in the order of their keys: each is a bucket or a value. With `only`, pages that can't hold that
   * key are not read.
   */
  *entries(bucket: Bucket | null, only?: string): Generator<Entry> {
    if (bucket === null) return;
    const page = "inline" in bucket ? bucket.inline : this.#page(bucket.page);
    if (page !== null) yield* this.#pageEntries(page, only, 0);
  }

  *#pageEntries(page: Buffer, only: string | undefined, depth: number): Generator<Entry> {
    if (flagsOf(page) === LEAF_PAGE) {
      if (!(yield* leavesOf(page))) this.#isWhole = false;
    } else if (flagsOf(page) === BRANCH_PAGE && depth < LIMITS.metadataDepth) {
      const { children, isWhole } = childrenFor(page, only);
      this.#isWhole &&= isWhole;
      for (const child of children) {
        const next = this.#page(child);
        if (next !== null) yield* this.#pageEntries(next, only, depth + 1);
      }
    } else this.#isWhole = false;
  }

  #page(id: number): Buffer | null {
    const page = this.#readPage(id);
    if (page === null) this.#isWhole = false;
    return page;
  }

  #readPage(id: number): Buffer | null {
    if (this.#pagesLeft-- <= 0) return null;
    const page = this.#read(this.#pageSize, id);
    if (page === null) return null;
    // A page may continue in the pages after it.
    const pages = 1 + page.readUInt32LE(OVERFLOW_AT);
    if (pages === 1) return page;
    return pages * this.#pageSize > LIMITS.metadataPageBytes ? null : this.#read(pages * this.#pageSize, id);
  }

  #read(length: number, page: number): Buffer | null {
    this.#bytesLeft -= length;
    return this.#bytesLeft < 0 ? null : readAt(this.#fd, length, page * this.#pageSize);
  }
}

/** A bucket with pages of its own, or a small one inside its parent's page. */
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
/** A bucket's value: its root page's number and a sequence number. If the number is 0, the page itself follows. */
const BUCKET_HEADER_BYTES = 16;

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

/** The offsets of a page's elements, at most as many as it has room for. */
function* elementsOf(page: Buffer): Generator<number> {
  const room = Math.floor((page.length - PAGE_HEADER_BYTES) / ELEMENT_BYTES);
  const count = Math.min(page.readUInt16LE(COUNT_AT), room);
  for (let i = 0; i < count; i++) yield PAGE_HEADER_BYTES + i * ELEMENT_BYTES;
}

/**
 * A leaf element has four fields of 4 bytes: flags, the key's offset from here, its size, and the size of the value after it.
 * bbolt writes keys and values one after another. A page with overlapping keys claims more bytes than it has. Its rest is left
 * out, since 65,535 keys of 1 MiB each would take minutes.
 * @returns whether nothing was left out
 */
function* leavesOf(page: Buffer): Generator<Entry, boolean> {
  let bytesLeft = page.length;
  let isWhole = true;
  for (const at of elementsOf(page)) {
    const keyAt = at + page.readUInt32LE(at + 4);
    const valueAt = keyAt + page.readUInt32LE(at + 8);
    const end = valueAt + page.readUInt32LE(at + 12);
    bytesLeft -= end - keyAt;
    if (bytesLeft < 0) return false;
    if (end > page.length) {
      isWhole = false;
      continue;
    }
    const key = page.toString("latin1", keyAt, valueAt);
    const isBucket = page.readUInt32LE(at) === BUCKET_ELEMENT && end - valueAt >= BUCKET_HEADER_BYTES;
    const value = page.subarray(valueAt, end);
    yield [key, isBucket ? bucketOf(value) : null, value];
  }
  return isWhole;
}

function bucketOf(value: Buffer): Bucket | null {
  const root = readUint64(value, 0);
  if (root !== 0) return { page: root };
  const inline = value.subarray(BUCKET_HEADER_BYTES);
  return inline.length < PAGE_HEADER_BYTES ? null : { inline };
}

/**
 * The pages below a branch page, or the one that can hold `only`. Branch element: position of the key from here and its size,
 * 4 bytes each, and the child's page, which starts with that key.
 */
function childrenFor(
  page: Buffer,
  only: string | undefined,
): { readonly children: readonly number[]; readonly isWhole: boolean } {
  const children: number[] = [];
  let bytesLeft = page.length;
  for (const at of elementsOf(page)) {
    const [keyAt, size] = [at + page.readUInt32LE(at), page.readUInt32LE(at + 4)];
    bytesLeft -= size;
    if (bytesLeft < 0) break;
    const isLater = only !== undefined && page.toString("latin1", keyAt, keyAt + size) > only;
    if (isLater && children.length > 0) break;
    children.push(readUint64(page, at + 8));
  }
  return { children: only === undefined ? children : children.slice(-1), isWhole: bytesLeft >= 0 };
}

/** Above 2^53 the result is rounded. No page has such a number. */
function readUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}

/** Reads exactly `length` bytes, or returns null. */
function readAt(fd: number, length: number, position: number): Buffer | null {
  if (!Number.isSafeInteger(position)) return null;
  const bytes = Buffer.allocUnsafe(length);
  try {
    return readFully(fd, bytes, position) === length ? bytes : null;
  } catch {
    return null;
  }
}
