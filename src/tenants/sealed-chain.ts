import { createHash } from "node:crypto";
import { LayerDecryptor } from "../cipher/decrypt.ts";
import type { LayerOptions } from "../cipher/options.ts";
import { blobPath } from "../containerd/store/place.ts";
import { DecoderError } from "../errors.ts";
import { compressionOf } from "../io/compression.ts";
import { FileInput } from "../io/file-input.ts";
import { parseDigest } from "../spec/digest.ts";
import { decompress } from "../transport/compression.ts";
import type { SealRecord } from "./seal-record.ts";

/** A chain with seal records, and the chain below it. */
export interface SealedChain {
  readonly chain: string;
  /** Undefined for the lowest layer. */
  readonly parent: string | undefined;
  readonly records: readonly SealRecord[];
}

const CHUNK_BYTES = 256 * 1024;
/** POSIX ustar: the magic's place in a header, which GNU's tar has as well. */
const USTAR_AT = 257;
const USTAR = "ustar";

/**
 * Whether a snapshot's name is a chain ID. For user namespaces containerd copies a chain to `<chain ID>-<uid>-<gid>`, whose
 * parent is the chain.
 */
export function isChainId(name: string): boolean {
  return parseDigest(name)?.algorithm === "sha256";
}

/** OCI image-spec, "Layer ChainID". */
export function chainIdOf(parent: string | undefined, diffId: string): string {
  if (parent === undefined) return diffId;
  return `sha256:${createHash("sha256").update(`${parent} ${diffId}`).digest("hex")}`;
}

/**
 * Whether a record's blob, decrypted with the key that gave the proof, is what the chain holds. A pull may name a chain
 * that another pull is making, and have a record written for it although its own layer is something else.
 */
export async function isTruthful(
  { chain, parent }: SealedChain,
  { layer }: SealRecord,
  options: LayerOptions,
  store: string,
): Promise<boolean> {
  const decryptor = new LayerDecryptor(options);
  try {
    const hash = createHash("sha256");
    await eachUncompressed(decrypted(blobPath(store, layer), decryptor), (chunk) => hash.update(chunk));
    decryptor.finish(layer);
    return chainIdOf(parent, `sha256:${hash.digest("hex")}`) === chain;
  } catch (error) {
    // Gone, changed or not what it says: no proof.
    if (error instanceof DecoderError || error instanceof Error) return false;
    throw error;
  }
}

/** Whether a blob is a tar, compressed or not. An encrypted layer's random bytes are neither. */
export async function isPlainLayer(store: string, blob: string): Promise<boolean> {
  try {
    let head = Buffer.alloc(0);
    for await (const chunk of uncompressed(pieces(blobPath(store, blob)))) {
      head = Buffer.concat([head, chunk]);
      if (head.length >= USTAR_AT + USTAR.length) break;
    }
    return head.toString("latin1", USTAR_AT, USTAR_AT + USTAR.length) === USTAR;
  } catch {
    return false;
  }
}

async function eachUncompressed(
  chunks: AsyncIterable<Uint8Array>,
  take: (chunk: Uint8Array) => void,
): Promise<void> {
  for await (const chunk of uncompressed(chunks)) take(chunk);
}

async function* uncompressed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) return;
  const rest = (async function* () {
    yield first.value;
    yield* { [Symbol.asyncIterator]: () => iterator };
  })();
  yield* decompress(compressionOf(first.value), rest, "the layer");
}

async function* decrypted(path: string, decryptor: LayerDecryptor): AsyncGenerator<Uint8Array> {
  for await (const chunk of pieces(path)) yield decryptor.update(chunk);
}

async function* pieces(path: string): AsyncGenerator<Uint8Array> {
  const file = FileInput.open(path, path);
  try {
    for (;;) {
      const buffer = new Uint8Array(CHUNK_BYTES);
      const length = file.read(buffer);
      if (length === 0) return;
      yield buffer.subarray(0, length);
    }
  } finally {
    file.close();
  }
}
