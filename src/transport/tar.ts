import { pipeline } from "node:stream/promises";
import { extract, type Header, type Pack, pack } from "tar-stream";
import { DecoderError } from "../errors.ts";

/** What an entry is, in tar-stream's words. */
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
  /** Of devices. */
  readonly devmajor?: number;
  readonly devminor?: number;
}

export type TarType = Header["type"];

export interface TarEntry {
  readonly name: string;
  readonly type: string;
  readonly linkname: string;
  readonly size: number;
  /** Of the first byte of the body, from the start of the archive. */
  readonly offset: number;
}

export interface NewTarEntry {
  readonly header: TarHeader;
  /** Exactly `header.size` bytes. */
  readonly body?: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const BLOCK_BYTES = 512;
/** tar-stream writes six octal digits of an id, and 32-bit seconds. */
const MOST_ID = 0o777777;
const MOST_SECONDS = 2 ** 31 - 1;

/**
 * The entries of a tar archive, bodies left out; every byte of it is read.
 * @param name of the archive, for messages
 * @throws DecoderError BAD_IMAGE for what is no tar archive or ends early; what `chunks` throws
 */
export async function* tarEntries(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<TarEntry> {
  // Very old formats, without "ustar" in the header, are still tar archives.
  const reader = extract({ allowUnknownFormat: true } as object);
  const feeding = pipeline(chunks, reader as unknown as NodeJS.WritableStream);
  feeding.catch(() => undefined);
  try {
    for await (const entry of reader) {
      const { name, type, linkname, size } = entry.header;
      // tar-stream has null for a number it can't read, and then waits for ever for the body's end.
      if (!Number.isSafeInteger(size) || size < 0) throw new Error("an entry without a size");
      const offset = entry.offset + BLOCK_BYTES;
      yield { name, type: type ?? "unknown", linkname: linkname ?? "", size, offset };
      entry.resume();
    }
    await feeding;
  } catch (error) {
    if (error instanceof DecoderError) throw error;
    throw new DecoderError("BAD_IMAGE", `${name} is no tar archive, or it is damaged or cut off`, {
      cause: error,
    });
  } finally {
    reader.destroy();
  }
}

/** The bytes of a tar archive. @throws what a body throws */
export async function* packTar(
  entries: AsyncIterable<NewTarEntry> | Iterable<NewTarEntry>,
): AsyncGenerator<Uint8Array> {
  const writer = pack();
  const filling = fill(writer, entries);
  filling.catch((error) => writer.destroy(error));
  try {
    for await (const chunk of writer as AsyncIterable<Uint8Array>) yield chunk;
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
    const sink = writer.entry(toHeader(header)) as unknown as NodeJS.WritableStream;
    if (body === undefined || header.size === 0) sink.end();
    else await pipeline(body, sink);
  }
  writer.finalize();
}

/** What the fields of a tar header have no room for goes into records of an extended header, which come first. */
function toHeader(header: TarHeader): Partial<Header> & Pick<Header, "name"> {
  const { uid = 0, gid = 0, mtime } = header;
  const pax: Record<string, string> = {};
  if (uid > MOST_ID) pax["uid"] = String(uid);
  if (gid > MOST_ID) pax["gid"] = String(gid);
  if (mtime < 0 || mtime > MOST_SECONDS) pax["mtime"] = String(mtime);
  const fitting = pax["mtime"] === undefined ? mtime : 0;
  return { ...header, mtime: new Date(fitting * 1000), ...(Object.keys(pax).length > 0 && { pax }) };
}
