import { closeSync, read } from "node:fs";
import { promisify } from "node:util";
import { DecoderError, describeSystemError } from "../errors.ts";
import { Digester, digestOf } from "../io/digester.ts";
import { openRegularFile, readFully } from "../io/file.ts";
import type { RemoteRepository } from "../registry/remote.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { checkedDigest } from "../spec/digest.ts";

/** Where the bytes of a blob are: plain data that crosses to the layer threads. */
export type BlobLocation = FileRange | MemoryBlob | RemoteBlob;

/** All or a part of a regular file. */
export interface FileRange {
  readonly kind: "file";
  readonly path: string;
  /** In bytes. */
  readonly offset: number;
  readonly size: number;
}

/** A small blob that was made here. */
interface MemoryBlob {
  readonly kind: "memory";
  readonly bytes: Uint8Array;
}

/** A blob of a registry. */
interface RemoteBlob {
  readonly kind: "remote";
  readonly remote: RemoteRepository;
  readonly digest: string;
  /** As the descriptor says: the registry is held to it. */
  readonly size: number;
}

export interface BlobStore {
  /**
   * The location of a blob, whose bytes are not read yet. Its size may differ from the descriptor's.
   * @throws DecoderError NOT_FOUND when the store lacks the blob, IO
   */
  locate(descriptor: Descriptor): Promise<BlobLocation>;
  /** Receives a small blob that was read whole and checked. Missing where reading it again costs no request. */
  keep?(digest: string, bytes: Uint8Array): void;
}

/** Blobs that are made here, and parts of files that make up the rest of an image. */
export class MemoryBlobs implements BlobStore {
  readonly #name: string;
  readonly #locations = new Map<string, BlobLocation>();

  /** @param name the image in messages */
  constructor(name: string) {
    this.#name = name;
  }

  /** Adds bytes. @returns their descriptor */
  add(mediaType: string, bytes: Uint8Array): Descriptor {
    const digest = digestOf(bytes);
    this.#locations.set(digest, { kind: "memory", bytes });
    return { mediaType, digest, size: bytes.length };
  }

  addFile(digest: string, file: FileRange): void {
    this.#locations.set(digest, file);
  }

  async locate({ digest }: Descriptor): Promise<BlobLocation> {
    const location = this.#locations.get(digest);
    if (location === undefined) throw missingBlob(digest, this.#name);
    return location;
  }
}

export function missingBlob(digest: string, where: string): DecoderError {
  return new DecoderError("NOT_FOUND", `blob ${digest} is missing from ${where}`, {
    hint: "only a part of the image was copied: fetch all of it again",
  });
}

/** Whether an error says that a blob is missing. */
export function isMissing(error: unknown): boolean {
  return error instanceof DecoderError && error.code === "NOT_FOUND";
}

/** Large enough to hide the cost of a chunk, small enough for the processor's cache. */
const CHUNK_BYTES = 256 * 1024;
const DAMAGED = "the image is damaged: fetch it again";

/** A file from its first byte to its last. */
export function wholeFile(path: string, size: number): FileRange {
  return { kind: "file", path, offset: 0, size };
}

/** In bytes. */
export function sizeOf(location: BlobLocation): number {
  return location.kind === "memory" ? location.bytes.length : location.size;
}

/**
 * A blob's bytes as its descriptor promises them: the size is checked first, the digest after the last byte. Chunks must
 * not be relied on before the iteration has ended without an error.
 * @throws DecoderError SIZE_MISMATCH, DIGEST_MISMATCH, NOT_FOUND, IO
 */
async function* readChecked(store: BlobStore, descriptor: Descriptor): AsyncGenerator<Uint8Array> {
  const location = await locateChecked(store, descriptor);
  yield* checkedChunks(location, descriptor);
}

/** The location of a blob that has the promised size. @throws DecoderError NOT_FOUND, SIZE_MISMATCH */
export async function locateChecked(store: BlobStore, descriptor: Descriptor): Promise<BlobLocation> {
  const location = await store.locate(descriptor);
  const size = sizeOf(location);
  if (size === descriptor.size) return location;
  throw new DecoderError(
    "SIZE_MISMATCH",
    `blob ${descriptor.digest} has ${size} bytes, but the image says ${descriptor.size}`,
    { hint: DAMAGED },
  );
}

/** @param name for messages: "layer 2". @throws DecoderError DIGEST_MISMATCH at the end, IO */
export async function* checkedChunks(
  location: BlobLocation,
  descriptor: Pick<Descriptor, "digest">,
  name?: string,
): AsyncGenerator<Uint8Array> {
  const digester = new Digester(checkedDigest(descriptor.digest).algorithm);
  for await (const chunk of readBlob(location, name)) {
    digester.update(chunk);
    yield chunk;
  }
  if (digester.digest() === descriptor.digest) return;
  throw new DecoderError("DIGEST_MISMATCH", `the bytes of blob ${descriptor.digest} have another digest`, {
    hint: DAMAGED,
  });
}

/** @throws DecoderError IO, REGISTRY, UNAUTHORIZED; SIZE_MISMATCH when the blob ends early */
export async function* readBlob(location: BlobLocation, name?: string): AsyncGenerator<Uint8Array> {
  if (location.kind === "memory") yield location.bytes;
  else if (location.size === 0) return;
  else if (location.kind === "file") yield* readRange(location);
  else yield* readRemote(location, name);
}

async function* readRemote(
  { remote, digest, size }: RemoteBlob,
  name: string | undefined,
): AsyncGenerator<Uint8Array> {
  const [{ download }, { remoteClient }] = await Promise.all([
    import("../registry/download.ts"),
    import("./remote-clients.ts"),
  ]);
  yield* download(await remoteClient(remote), { digest, size }, name);
}

const readAt = promisify(read);

/**
 * Reads a part of a file. The next chunk is read while the caller uses one. A small file is read at once: a folder may have
 * a hundred thousand of them, and a stream or a thread for each would take longer than the compression of its bytes.
 */
async function* readRange({ path, offset, size }: FileRange): AsyncGenerator<Uint8Array> {
  const { fd } = systemCall(path, () => openRegularFile(path));
  const chunkAt = async (done: number): Promise<Uint8Array> => {
    const buffer = new Uint8Array(Math.min(CHUNK_BYTES, size - done));
    const position = offset + done;
    const count =
      size <= CHUNK_BYTES
        ? readFully(fd, buffer, position)
        : (await readAt(fd, buffer, 0, buffer.length, position)).bytesRead;
    if (count === 0) throw endedEarly(path, size - done);
    return count === buffer.length ? buffer : buffer.subarray(0, count);
  };
  let next = chunkAt(0);
  try {
    for (let done = 0; done < size; ) {
      const chunk = await next;
      done += chunk.length;
      if (done < size) {
        next = chunkAt(done);
        // The error is thrown when its chunk is due.
        next.catch(() => undefined);
      }
      yield chunk;
    }
  } catch (error) {
    throw readError(path, error);
  } finally {
    await next.catch(() => undefined);
    closeSync(fd);
  }
}

function endedEarly(path: string, missing: number): DecoderError {
  return new DecoderError("SIZE_MISMATCH", `${path} ended ${missing} bytes early`, { hint: DAMAGED });
}

/** @throws DecoderError IO */
function systemCall<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw readError(path, error);
  }
}

function readError(path: string, error: unknown): DecoderError {
  if (error instanceof DecoderError) return error;
  return new DecoderError("IO", `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
}

/** A small blob whole. @throws DecoderError LIMIT beyond `most` bytes; what `readChecked` throws */
export async function readSmall(store: BlobStore, descriptor: Descriptor, most: number): Promise<Uint8Array> {
  if (descriptor.size > most) {
    throw new DecoderError(
      "LIMIT",
      `blob ${descriptor.digest} has ${descriptor.size} bytes; blobs of its kind may have at most ${most}`,
    );
  }
  const bytes = await readWhole(readChecked(store, descriptor));
  store.keep?.(descriptor.digest, bytes);
  return bytes;
}

/** The first bytes of a blob, at most `most`. @throws DecoderError IO, SIZE_MISMATCH */
export async function readHead(location: FileRange, most: number): Promise<Uint8Array> {
  return await readWhole(readBlob({ ...location, size: Math.min(location.size, most) }));
}

/** All chunks in one piece. */
export async function readWhole(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}
