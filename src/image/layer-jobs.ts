import { LayerDecryptor } from "../cipher/decrypt.ts";
import { type EncryptedOptions, LayerEncryptor } from "../cipher/encrypt.ts";
import type { LayerOptions } from "../cipher/options.ts";
import { DecoderError } from "../errors.ts";
import { Secret } from "../secret.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { Digester } from "../spec/digester.ts";
import type { Compression } from "../spec/media-types.ts";
import { type BlobLocation, checkedChunks, readBlob } from "../transport/blob.ts";
import { type BlobOutput, type WrittenBlob, writeBlob } from "../transport/blob-output.ts";
import { decompress } from "../transport/compression.ts";
import { gzip } from "../transport/gzip.ts";
import { tarEntries } from "../transport/tar.ts";

/**
 * What is done to the bytes of one layer. Plain data in and out, so that it can be done on another thread; the bytes
 * stream from file to file and are never held.
 */
export interface LayerInput {
  readonly location: BlobLocation;
  /** For messages: "layer 2". */
  readonly name: string;
  /** Checked against the bytes as they are read. */
  readonly descriptor: Pick<Descriptor, "digest" | "size" | "mediaType">;
}

/** A key as it crosses threads: the receiving side makes a Secret of it. */
export interface LayerKey extends Omit<LayerOptions, "key"> {
  readonly key: Uint8Array<ArrayBuffer>;
}

export interface CopyJob extends LayerInput {
  readonly kind: "copy";
  readonly output: BlobOutput;
}

export interface EncryptJob extends LayerInput {
  readonly kind: "encrypt";
  readonly output: BlobOutput;
  readonly recompress: Recompression;
}

export interface DecryptJob extends LayerInput {
  readonly kind: "decrypt";
  readonly output: BlobOutput;
  readonly options: LayerKey;
}

export interface VerifyJob extends LayerInput {
  readonly kind: "verify";
  readonly options: LayerKey;
  /** Of the plaintext. */
  readonly compression: Compression;
  /** The configuration's digest of the uncompressed tar, where it is known. */
  readonly diffId: string | undefined;
}

/** From one compression to another; the bytes stay as they are when both are the same. */
export interface Recompression {
  readonly from: Compression;
  readonly to: Compression;
  readonly level: number;
}

export type LayerJob = CopyJob | EncryptJob | DecryptJob | VerifyJob;

/** The blob that was written, or the one that was read when the job writes none. */
export interface LayerOutput extends WrittenBlob {
  /** Only after "encrypt". */
  readonly encrypted?: EncryptedOptions;
}

type Chunks = AsyncIterable<Uint8Array>;

/**
 * Does one job.
 * @param onBytes told of each chunk of input, in bytes, and of what is read once more as 0; of what was in vain, since an
 *   upload starts anew, as a negative number. May throw to end the job
 * @throws DecoderError of all that can be wrong with a layer; IO
 */
export async function runJob(job: LayerJob, onBytes: (count: number) => void): Promise<LayerOutput> {
  const input = new JobInput(job, onBytes);
  switch (job.kind) {
    case "copy":
      return await copy(job, input);
    case "encrypt":
      return await encrypt(job, input);
    case "decrypt":
      return await decrypt(job, input);
    case "verify":
      return await verify(job, input, onBytes);
  }
}

/** The bytes of a job's blob, from the first one on as often as they are needed. */
class JobInput {
  readonly #job: LayerInput;
  readonly #onBytes: (count: number) => void;
  #read = 0;

  constructor(job: LayerInput, onBytes: (count: number) => void) {
    this.#job = job;
    this.#onBytes = onBytes;
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    if (this.#read > 0) this.#onBytes(-this.#read);
    this.#read = 0;
    for await (const chunk of checkedChunks(this.#job.location, this.#job.descriptor)) {
      this.#read += chunk.length;
      this.#onBytes(chunk.length);
      yield chunk;
    }
  }
}

async function copy({ output, descriptor, name }: CopyJob, input: JobInput): Promise<LayerOutput> {
  const { size, digest } = descriptor;
  return await writeBlob(output, name, () => ({ chunks: input.chunks(), size, digest: () => digest }));
}

async function encrypt(job: EncryptJob, input: JobInput): Promise<LayerOutput> {
  const { output, recompress, descriptor, name } = job;
  // Kept bytes are checked against their digest on the way: hashing them once is enough.
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
        chunks: mapped(plain, (chunk) => current.update(chunk)),
        size: isKept ? descriptor.size : undefined,
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
      chunks: digester.tap(decrypted(job, input.chunks())),
      size: job.descriptor.size,
      digest: () => digester.digest(),
    };
  });
}

async function* decrypted({ options, descriptor }: DecryptJob, input: Chunks): AsyncGenerator<Uint8Array> {
  const decryptor = newDecryptor(options);
  yield* mapped(input, (chunk) => decryptor.update(chunk));
  decryptor.finish(descriptor.digest);
}

async function verify(
  job: VerifyJob,
  input: JobInput,
  onBytes: (count: number) => void,
): Promise<LayerOutput> {
  if (job.location.kind === "remote") await verifyOnce(job, input);
  else await verifyTwice(job, input, onBytes);
  return job.descriptor;
}

/** First whether it is authentic: nobody needs to know how well-formed a forgery is. */
async function verifyTwice(job: VerifyJob, input: JobInput, onBytes: (count: number) => void): Promise<void> {
  const { digest } = job.descriptor;
  const verifier = newDecryptor(job.options);
  for await (const chunk of input.chunks()) verifier.authenticate(chunk);
  verifier.finish(digest);
  const decryptor = newDecryptor(job.options);
  const plaintext = mapped(readBlob(job.location), (chunk) => {
    onBytes(0);
    return decryptor.decrypt(chunk);
  });
  await checkForm(job, plaintext);
}

/**
 * A registry's layer is fetched once. What is wrong with its form is reported after its HMAC held: before that it says
 * nothing of the layer.
 */
async function verifyOnce(job: VerifyJob, input: JobInput): Promise<void> {
  const decryptor = newDecryptor(job.options);
  const plaintext = new Unended(mapped(input.chunks(), (chunk) => decryptor.update(chunk)));
  let formError: unknown;
  try {
    await checkForm(job, plaintext);
  } catch (error) {
    formError = error;
  }
  for await (const _chunk of plaintext) {
    // The rest, which the form's check did not get to.
  }
  decryptor.finish(job.descriptor.digest);
  if (formError !== undefined) throw formError;
}

/** Chunks that several read one after the other: who stops reading does not end them. */
class Unended implements AsyncIterable<Uint8Array> {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #failure: { readonly error: unknown } | undefined;

  constructor(chunks: AsyncGenerator<Uint8Array>) {
    this.#chunks = chunks;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return { next: () => this.#next() };
  }

  /** An error comes again to the next reader: it is about the chunks, and not about what they were read for. */
  async #next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#failure !== undefined) throw this.#failure.error;
    try {
      return await this.#chunks.next();
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }
}

async function checkForm({ descriptor, compression, diffId }: VerifyJob, plaintext: Chunks): Promise<void> {
  const name = `the plaintext of layer ${descriptor.digest}`;
  const tar = new Digester();
  for await (const _entry of tarEntries(tar.tap(decompress(compression, plaintext, name)), name)) {
    // What it is does not matter, only that one follows the other to the end.
  }
  if (diffId === undefined || tar.digest() === diffId) return;
  throw new DecoderError(
    "DIGEST_MISMATCH",
    `${name}, uncompressed, is not ${diffId}, as the image's configuration says`,
  );
}

function newDecryptor(options: LayerKey): LayerDecryptor {
  return new LayerDecryptor({ ...options, key: new Secret(options.key) });
}

async function* mapped(
  chunks: Chunks,
  change: (chunk: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield change(chunk);
}
