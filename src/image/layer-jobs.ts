import { LayerDecryptor } from "../cipher/decrypt.ts";
import { type EncryptedOptions, LayerEncryptor } from "../cipher/encrypt.ts";
import type { LayerOptions } from "../cipher/options.ts";
import { Digester } from "../io/digester.ts";
import { free, freeInOrder } from "../io/free.ts";
import { Secret } from "../secret.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { Compression } from "../spec/media-types.ts";
import { type BlobLocation, checkedChunks } from "../transport/blob.ts";
import { type BlobOutput, type WrittenBlob, writeBlob } from "../transport/blob-output.ts";
import { decompress } from "../transport/compression.ts";
import { gzip, gzipMember } from "../transport/gzip.ts";
import { verifyLayer } from "./verify-job.ts";

/**
 * Jobs on the bytes of one layer. A job and its result are plain data, so that another thread can do it. The bytes are
 * streamed and never held.
 */
export interface LayerInput {
  readonly location: BlobLocation;
  /** The blob in messages: "layer 2". */
  readonly name: string;
  /** Checked against the bytes as they are read. */
  readonly descriptor: Pick<Descriptor, "digest" | "size" | "mediaType">;
}

/** A layer key as it crosses threads. The receiving side makes a Secret of it. */
export interface LayerKey extends Omit<LayerOptions, "key"> {
  readonly key: Uint8Array<ArrayBuffer>;
}

export interface CopyJob extends LayerInput {
  readonly kind: "copy";
  readonly output: BlobOutput;
}

interface EncryptJob extends LayerInput {
  readonly kind: "encrypt";
  readonly output: BlobOutput;
  readonly recompress: Recompression;
}

interface DecryptJob extends LayerInput {
  readonly kind: "decrypt";
  readonly output: BlobOutput;
  readonly options: LayerKey;
}

interface VerifyJob extends LayerInput {
  readonly kind: "verify";
  readonly options: LayerKey;
  /** Compression of the plaintext. */
  readonly compression: Compression;
  /** Digest of the uncompressed tar in the image's configuration; undefined where the configuration has none. */
  readonly diffId: string | undefined;
}

/** Compresses one block of a layer in the making. */
interface CompressJob {
  readonly kind: "compress";
  /** Given to the thread: the caller has it no more. */
  readonly block: Uint8Array<ArrayBuffer>;
  readonly level: number;
}

/** From one compression to another. If both are the same, the bytes stay as they are. */
interface Recompression {
  readonly from: Compression;
  readonly to: Compression;
  readonly level: number;
}

export type LayerJob = CopyJob | EncryptJob | DecryptJob | VerifyJob | CompressJob;

/** The blob that was written, or the one that was read when the job writes none. */
export interface LayerOutput extends WrittenBlob {
  /** Only after "encrypt". */
  readonly encrypted?: EncryptedOptions;
  /** Only after "compress": the block as one gzip member. */
  readonly member?: Uint8Array<ArrayBuffer>;
  /** Only after "compress": the block's memory, to be used again. */
  readonly block?: Uint8Array<ArrayBuffer>;
}

type Chunks = AsyncIterable<Uint8Array>;

/**
 * Does one job.
 * @param onBytes is called with the size of each chunk of input; throws to end the job. A negative size takes back what was
 * read in vain, since an upload starts again.
 * @throws DecoderError for any fault of a layer; IO
 */
export async function runJob(job: LayerJob, onBytes: (count: number) => void): Promise<LayerOutput> {
  if (job.kind === "compress") return await compress(job);
  const input = new JobInput(job, onBytes);
  switch (job.kind) {
    case "copy":
      return await copy(job, input);
    case "encrypt":
      return await encrypt(job, input);
    case "decrypt":
      return await decrypt(job, input);
    case "verify":
      return await verify(job, input);
  }
}

/** The bytes of a job's blob, as often as they are needed. */
class JobInput {
  readonly #job: LayerInput;
  readonly #onBytes: (count: number) => void;
  #read = 0;

  constructor(job: LayerInput, onBytes: (count: number) => void) {
    this.#job = job;
    this.#onBytes = onBytes;
  }

  /** Whether this job holds the only reference to its chunks. */
  get isOwned(): boolean {
    return this.#job.location.kind !== "memory";
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    if (this.#read > 0) this.#onBytes(-this.#read);
    this.#read = 0;
    const { location, descriptor, name } = this.#job;
    for await (const chunk of checkedChunks(location, descriptor, name)) {
      this.#read += chunk.length;
      this.#onBytes(chunk.length);
      yield chunk;
    }
  }
}

async function compress({ block, level }: CompressJob): Promise<LayerOutput> {
  const member = await gzipMember(block, level);
  return { digest: "", size: member.length, member, block };
}

async function copy({ output, descriptor, name }: CopyJob, input: JobInput): Promise<LayerOutput> {
  const { size, digest } = descriptor;
  const onWritten = input.isOwned ? freeInOrder : undefined;
  return await writeBlob(output, name, () => ({
    chunks: input.chunks(),
    size,
    onWritten,
    digest: () => digest,
  }));
}

async function encrypt(job: EncryptJob, input: JobInput): Promise<LayerOutput> {
  const { output, recompress, descriptor, name } = job;
  // Bytes that are kept are checked against their digest on the way, which need not be computed again.
  const isKept = recompress.from === recompress.to;
  let encryptor: LayerEncryptor | undefined;
  let encrypted: EncryptedOptions | undefined;
  try {
    const written = await writeBlob(output, name, () => {
      encryptor?.close();
      const current = new LayerEncryptor({
        digest: isKept ? descriptor.digest : undefined,
        size: descriptor.size,
      });
      encryptor = current;
      const plain = recompressed(recompress, input.chunks(), `layer ${descriptor.digest}`);
      return {
        chunks: mapped(plain, (chunk) => current.update(chunk), isKept && input.isOwned),
        size: isKept ? descriptor.size : undefined,
        onWritten: free,
        digest: () => {
          encrypted = current.finish();
          return encrypted.digest;
        },
      };
    });
    return { ...written, ...(encrypted && { encrypted }) };
  } finally {
    encryptor?.close();
  }
}

function recompressed({ from, to, level }: Recompression, chunks: Chunks, name: string): Chunks {
  if (from === to) return chunks;
  const tar = decompress(from, chunks, name);
  if (to === "none") return tar;
  if (to === "gzip") return gzip(tar, level);
  throw new Error(`bug: nothing here compresses with ${to}`);
}

/** Plaintext is written before the verdict, but becomes a blob only if the verdict is good. */
async function decrypt(job: DecryptJob, input: JobInput): Promise<LayerOutput> {
  return await writeBlob(job.output, job.name, () => {
    const digester = new Digester();
    return {
      chunks: digester.tap(decrypted(job, input)),
      size: job.descriptor.size,
      onWritten: free,
      digest: () => digester.digest(),
    };
  });
}

async function* decrypted({ options, descriptor }: DecryptJob, input: JobInput): AsyncGenerator<Uint8Array> {
  const decryptor = newDecryptor(options);
  yield* mapped(input.chunks(), (chunk) => decryptor.update(chunk), input.isOwned);
  decryptor.finish(descriptor.digest);
}

async function verify(job: VerifyJob, input: JobInput): Promise<LayerOutput> {
  const { digest, size } = job.descriptor;
  const expected = {
    name: `the plaintext of layer ${digest}`,
    compression: job.compression,
    diffId: job.diffId,
  };
  const ciphertext = { chunks: input.chunks(), isOwned: input.isOwned, digest };
  await verifyLayer(ciphertext, newDecryptor(job.options), expected);
  return { digest, size };
}

function newDecryptor(options: LayerKey): LayerDecryptor {
  return new LayerDecryptor({ ...options, key: new Secret(options.key) });
}

/** @param isOwned whether nothing else refers to the chunks, so that they can be freed after use */
async function* mapped(
  chunks: Chunks,
  change: (chunk: Uint8Array) => Uint8Array,
  isOwned: boolean,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    const changed = change(chunk);
    if (isOwned) freeInOrder(chunk);
    yield changed;
  }
}
