import { LayerDecryptor } from "../cipher/decrypt.ts";
import { type EncryptedOptions, LayerEncryptor } from "../cipher/encrypt.ts";
import type { LayerOptions } from "../cipher/options.ts";
import { DecoderError } from "../errors.ts";
import { writeDurably } from "../io/staging.ts";
import { Secret } from "../secret.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { Digester } from "../spec/digester.ts";
import type { Compression } from "../spec/media-types.ts";
import { type Blob, checkedChunks, readBlob } from "../transport/blob.ts";
import { decompress } from "../transport/compression.ts";
import { gzip } from "../transport/gzip.ts";
import { tarEntries } from "../transport/tar.ts";

/**
 * What is done to the bytes of one layer. Plain data in and out, so that it can be done on another thread; the bytes
 * stream from file to file and are never held.
 */
export interface LayerInput {
  readonly blob: Blob;
  /** Checked against the bytes as they are read. */
  readonly descriptor: Pick<Descriptor, "digest" | "size" | "mediaType">;
}

/** A key as it crosses threads: the receiving side makes a Secret of it. */
export interface LayerKey extends Omit<LayerOptions, "key"> {
  readonly key: Uint8Array<ArrayBuffer>;
}

export interface CopyJob extends LayerInput {
  readonly kind: "copy";
  readonly output: string;
}

export interface EncryptJob extends LayerInput {
  readonly kind: "encrypt";
  readonly output: string;
  readonly recompress: Recompression;
}

export interface DecryptJob extends LayerInput {
  readonly kind: "decrypt";
  readonly output: string;
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

export interface LayerOutput {
  /** Of what was written, or read when nothing is. */
  readonly digest: string;
  readonly size: number;
  /** Only of "encrypt". */
  readonly encrypted?: EncryptedOptions;
}

type Chunks = AsyncIterable<Uint8Array>;

/**
 * Does one job.
 * @param onBytes told of each chunk of input, in bytes, and of what is read once more as 0; may throw to end the job
 * @throws DecoderError of all that can be wrong with a layer; IO
 */
export async function runJob(job: LayerJob, onBytes: (count: number) => void): Promise<LayerOutput> {
  const input = counted(checkedChunks(job.blob, job.descriptor), onBytes);
  switch (job.kind) {
    case "copy":
      return { digest: job.descriptor.digest, size: await writeDurably(job.output, input) };
    case "encrypt":
      return await encrypt(job, input);
    case "decrypt":
      return await write(job.output, decrypted(job, input));
    case "verify":
      return await verify(job, input, onBytes);
  }
}

async function encrypt({ output, recompress, descriptor }: EncryptJob, input: Chunks): Promise<LayerOutput> {
  // Kept bytes are checked against their digest on the way: hashing them once is enough.
  const isKept = recompress.from === recompress.to;
  const digest = isKept ? descriptor.digest : undefined;
  const encryptor = new LayerEncryptor({ digest, size: descriptor.size });
  try {
    const plain = recompressed(recompress, input, `layer ${descriptor.digest}`);
    const ciphertext = mapped(plain, (chunk) => encryptor.update(chunk));
    const size = await writeDurably(output, ciphertext);
    const encrypted = encryptor.finish();
    return { digest: encrypted.digest, size, encrypted };
  } finally {
    encryptor.close();
  }
}

function recompressed({ from, to, level }: Recompression, chunks: Chunks, name: string): Chunks {
  if (from === to) return chunks;
  const tar = decompress(from, chunks, name);
  if (to === "none") return tar;
  if (to === "gzip") return gzip(tar, level);
  throw new Error(`bug: nothing here compresses with ${to}`);
}

/** What is written before the verdict lies in a file that nobody sees, and that goes away if it is bad. */
async function* decrypted({ options, descriptor }: DecryptJob, input: Chunks): AsyncGenerator<Uint8Array> {
  const decryptor = newDecryptor(options);
  yield* mapped(input, (chunk) => decryptor.update(chunk));
  decryptor.finish(descriptor.digest);
}

/** First whether it is authentic: nobody needs to know how well-formed a forgery is. */
async function verify(job: VerifyJob, input: Chunks, onBytes: (count: number) => void): Promise<LayerOutput> {
  const { digest } = job.descriptor;
  const verifier = newDecryptor(job.options);
  for await (const chunk of input) verifier.authenticate(chunk);
  verifier.finish(digest);

  const name = `the plaintext of layer ${digest}`;
  const decryptor = newDecryptor(job.options);
  const tar = new Digester();
  const plaintext = mapped(readBlob(job.blob), (chunk) => {
    onBytes(0);
    return decryptor.decrypt(chunk);
  });
  const entries = tarEntries(tar.tap(decompress(job.compression, plaintext, name)), name);
  for await (const _entry of entries) {
    // What it is does not matter, only that one follows the other to the end.
  }
  if (job.diffId !== undefined && tar.digest() !== job.diffId) {
    throw new DecoderError(
      "DIGEST_MISMATCH",
      `${name}, uncompressed, is not ${job.diffId}, as the image's configuration says`,
    );
  }
  return job.descriptor;
}

async function write(path: string, chunks: Chunks): Promise<LayerOutput> {
  const digester = new Digester();
  const size = await writeDurably(path, digester.tap(chunks));
  return { digest: digester.digest(), size };
}

function newDecryptor(options: LayerKey): LayerDecryptor {
  return new LayerDecryptor({ ...options, key: new Secret(options.key) });
}

async function* counted(chunks: Chunks, onBytes: (count: number) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    onBytes(chunk.length);
    yield chunk;
  }
}

async function* mapped(
  chunks: Chunks,
  change: (chunk: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield change(chunk);
}
