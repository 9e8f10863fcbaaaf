import { pipeline } from "node:stream/promises";
import { extract, type Header, type Pack, pack } from "tar-stream";
import { DecoderError } from "../errors.ts";
import { inBlocks } from "../io/blocks.ts";
import { freeing } from "../io/free.ts";

/** An entry's header, with tar-stream's names. */
export interface TarHeader {
  readonly name: string;
  readonly type: TarType;
  readonly size: number;
  readonly linkname?: string;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Devices only. */
  readonly devmajor?: number;
  readonly devminor?: number;
}

export type TarType = Header["type"];

export interface TarEntry {
  readonly name: string;
  readonly type: string;
  readonly linkname: string;
  readonly size: number;
  /** Position of the body's first byte in the archive. */
  readonly offset: number;
}

export interface NewTarEntry {
  readonly header: TarHeader;
  /** Exactly `header.size` bytes. */
  readonly body?: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const BLOCK_BYTES = 512;
const CHUNK_BYTES = 256 * 1024;
/** tar-stream writes ids with six octal digits, and times with 32 bits. */
const MOST_ID = 0o777777;
const MOST_SECONDS = 2 ** 31 - 1;

/**
 * The entries of a tar archive, without their bodies. Every byte of the archive is read.
 * @param name the archive in messages
 * @throws DecoderError BAD_IMAGE if it is not a tar archive or ends early; what `chunks` throws
 */
export async function* tarEntries(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<TarEntry> {
  // Formats older than "ustar" are tar archives too.
  const reader = extract({ allowUnknownFormat: true } as object);
  const padded = new PaddedTar(chunks);
  const feeding = pipeline(padded.chunks(), reader as unknown as NodeJS.WritableStream);
  feeding.catch(() => undefined);
  let bodyEnd = 0;
  try {
    for await (const entry of reader) {
      const { name, type, linkname, size } = entry.header;
      // tar-stream's size is null for a number that it can't read. It would then wait forever for the body's end.
      if (!Number.isSafeInteger(size) || size < 0) throw new Error("an entry without a size");
      const offset = entry.offset + BLOCK_BYTES;
      bodyEnd = offset + size;
      yield { name, type: type ?? "unknown", linkname: linkname ?? "", size, offset };
      entry.resume();
    }
    await feeding;
    padded.checkEnd(bodyEnd);
  } catch (error) {
    if (error instanceof DecoderError) throw error;
    throw new DecoderError("BAD_IMAGE", `${name} is not a complete tar archive`, {
      cause: error,
    });
  } finally {
    reader.destroy();
  }
}

/**
 * An archive with its last block filled. Some tools (umoci 0.4.7) end an archive with the last file's bytes. Go's
 * archive/tar, and so containerd, accepts that.
 */
class PaddedTar {
  readonly #chunks: AsyncIterable<Uint8Array>;
  #bytes = 0;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks;
  }

  /** Only the padding of the last entry may be missing. @param bodyEnd position after that entry's last byte */
  checkEnd(bodyEnd: number): void {
    const isWhole = this.#bytes % BLOCK_BYTES === 0;
    const isPadding = this.#bytes >= bodyEnd && this.#bytes < bodyEnd + BLOCK_BYTES;
    if (!isWhole && !isPadding) throw new Error("the archive is cut off");
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#chunks) {
      this.#bytes += chunk.length;
      yield chunk;
    }
    const excess = this.#bytes % BLOCK_BYTES;
    if (excess > 0) yield new Uint8Array(BLOCK_BYTES - excess);
  }
}

/** The bytes of a tar archive, in chunks that have memory of their own. @throws what a body throws */
export async function* packTar(
  entries: AsyncIterable<NewTarEntry> | Iterable<NewTarEntry>,
): AsyncGenerator<Uint8Array> {
  const writer = pack();
  const filling = fill(writer, entries);
  filling.catch((error) => writer.destroy(error));
  try {
    // tar-stream passes on each header, body and padding as a chunk. For a folder of small files, writing them one by one would
    // take longer than reading the files.
    yield* inBlocks(freeing(writer as AsyncIterable<Uint8Array>), CHUNK_BYTES);
    await filling;
  } finally {
    writer.destroy();
  }
}

async function fill(
  writer: Pack,
  entries: AsyncIterable<NewTarEntry> | Iterable<NewTarEntry>,
): Promise<void> {
  for await (const { header, body } of entries) {
    if (header.size > CHUNK_BYTES) {
      const sink = writer.entry(toHeader(header)) as unknown as NodeJS.WritableStream;
      await pipeline(body ?? [], sink);
    } else await addSmall(writer, header, body);
  }
  writer.finalize();
}

/** Adds an entry whose body fits into memory, without a stream of its own. Returns when the writer takes more. */
async function addSmall(writer: Pack, header: TarHeader, body: NewTarEntry["body"] = []): Promise<void> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  const [first] = parts;
  const bytes =
    first !== undefined && parts.length === 1
      ? Buffer.from(first.buffer, first.byteOffset, first.length)
      : Buffer.concat(parts);
  if (bytes.length !== header.size) throw new Error("bug: a body is not as long as its header says");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  writer.entry(toHeader(header), bytes, (error) => (error ? reject(error) : resolve()));
  await promise;
}

/** Values too large for the fields of a tar header go into an extended header, which precedes it. */
function toHeader(header: TarHeader): Partial<Header> & Pick<Header, "name"> {
  const { uid = 0, gid = 0, mtime } = header;
  const pax: Record<string, string> = {};
  if (uid > MOST_ID) pax["uid"] = String(uid);
  if (gid > MOST_ID) pax["gid"] = String(gid);
  if (mtime < 0 || mtime > MOST_SECONDS) pax["mtime"] = String(mtime);
  const fitting = pax["mtime"] === undefined ? mtime : 0;
  return { ...header, mtime: new Date(fitting * 1000), ...(Object.keys(pax).length > 0 && { pax }) };
}
