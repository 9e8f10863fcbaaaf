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
 * @param onBytes told of each chunk of input, in bytes, and of what is read once more as 0; may throw to end the job
 * @throws DecoderError of all that can be wrong with a layer; IO
 */
export async function runJob(job: LayerJob, onBytes: (count: number) => void): Promise<LayerOutput> {
  const input = counted(checkedChunks(job.location, job.descriptor), onBytes);
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

async function copy({ output, descriptor }: CopyJob, chunks: Chunks): Promise<LayerOutput> {
  return await writeBlob(output, { chunks, size: descriptor.size, digest: () => descriptor.digest });
}

async function encrypt({ output, recompress, descriptor }: EncryptJob, input: Chunks): Promise<LayerOutput> {
  // Kept bytes are checked against their digest on the way: hashing them once is enough.
  const isKept = recompress.from === recompress.to;
  const digest = isKept ? descriptor.digest : undefined;
  const encryptor = new LayerEncryptor({ digest, size: descriptor.size });
  try {
    const plain = recompressed(recompress, input, `layer ${descriptor.digest}`);
    let encrypted: EncryptedOptions | undefined;
    const written = await writeBlob(output, {
      chunks: mapped(plain, (chunk) => encryptor.update(chunk)),
      size: isKept ? descriptor.size : undefined,
      digest: () => {
        encrypted = encryptor.finish();
        return encrypted.digest;
      },
    });
    return { ...written, ...(encrypted && { encrypted }) };
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

/** Plaintext is written before the verdict, but becomes a blob only if the verdict is good. */
async function decrypt(job: DecryptJob, input: Chunks): Promise<LayerOutput> {
  const digester = new Digester();
  return await writeBlob(job.output, {
    chunks: digester.tap(decrypted(job, input)),
    size: job.descriptor.size,
    digest: () => digester.digest(),
  });
}

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
  const plaintext = mapped(readBlob(job.location), (chunk) => {
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
