import { createReadStream } from "node:fs";
import { DecoderError, describeSystemError } from "../errors.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { checkedDigest } from "../spec/digest.ts";
import { Digester } from "../spec/digester.ts";

/** Where the bytes of a blob lie: all or a part of a file, or memory for the few that were made here. */
export type Blob = FileRange | { readonly bytes: Uint8Array };

export interface FileRange {
  readonly path: string;
  /** In bytes. */
  readonly offset: number;
  readonly size: number;
}

/** The blobs of a layout or an archive. */
export interface BlobStore {
  /** @throws DecoderError NOT_FOUND when there is no blob of that digest */
  locate(digest: string): Promise<Blob>;
}

/** Large enough that per-chunk costs vanish, small enough to stay in the processor's cache. */
const CHUNK_BYTES = 256 * 1024;
const DAMAGED = "the image is damaged: fetch it again";

/**
 * The bytes of a blob as its descriptor promises them: size first, digest when the last byte was read.
 * What was yielded before the end must not be relied on.
 * @throws DecoderError SIZE_MISMATCH, DIGEST_MISMATCH, NOT_FOUND, IO
 */
export async function* readChecked(store: BlobStore, descriptor: Descriptor): AsyncGenerator<Uint8Array> {
  const blob = await locateChecked(store, descriptor);
  yield* checkedChunks(blob, descriptor);
}

/** A blob of the promised size, its bytes not read yet. @throws DecoderError NOT_FOUND, SIZE_MISMATCH */
export async function locateChecked(store: BlobStore, descriptor: Descriptor): Promise<Blob> {
  const blob = await store.locate(descriptor.digest);
  const size = "bytes" in blob ? blob.bytes.length : blob.size;
  if (size !== descriptor.size) {
    throw new DecoderError(
      "SIZE_MISMATCH",
      `blob ${descriptor.digest} has ${size} bytes, not the ${descriptor.size} that the image says`,
      { hint: DAMAGED },
    );
  }
  return blob;
}

/** @throws DecoderError DIGEST_MISMATCH at the end, IO */
export async function* checkedChunks(blob: Blob, descriptor: Descriptor): AsyncGenerator<Uint8Array> {
  const digester = new Digester(checkedDigest(descriptor.digest).algorithm);
  for await (const chunk of readBlob(blob)) {
    digester.update(chunk);
    yield chunk;
  }
  if (digester.digest() !== descriptor.digest) {
    throw new DecoderError(
      "DIGEST_MISMATCH",
      `blob ${descriptor.digest} holds other bytes than its digest says`,
      { hint: DAMAGED },
    );
  }
}

/** @throws DecoderError IO; SIZE_MISMATCH when the file ends early */
export async function* readBlob(blob: Blob): AsyncGenerator<Uint8Array> {
  if ("bytes" in blob) {
    yield blob.bytes;
    return;
  }
  if (blob.size === 0) return;
  let left = blob.size;
  const end = blob.offset + blob.size - 1;
  const stream = createReadStream(blob.path, { start: blob.offset, end, highWaterMark: CHUNK_BYTES });
  try {
    for await (const chunk of stream) {
      left -= chunk.length;
      yield chunk;
    }
  } catch (error) {
    throw error instanceof DecoderError
      ? error
      : new DecoderError("IO", `can't read ${blob.path}: ${describeSystemError(error)}`, { cause: error });
  }
  if (left !== 0)
    throw new DecoderError("SIZE_MISMATCH", `${blob.path} ended ${left} bytes early`, { hint: DAMAGED });
}

/** A small blob whole. @throws DecoderError LIMIT beyond `most` bytes, and all of `readChecked` */
export async function readSmall(store: BlobStore, descriptor: Descriptor, most: number): Promise<Uint8Array> {
  if (descriptor.size > most) {
    throw new DecoderError(
      "LIMIT",
      `blob ${descriptor.digest} has ${descriptor.size} bytes, and ${most} are the most for one of its kind`,
    );
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of readChecked(store, descriptor)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
