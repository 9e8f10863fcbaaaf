import { writeDurably } from "../io/staging.ts";

/** Where one new blob is written: plain data that crosses to the layer threads. */
export type BlobOutput = FileOutput;

/** A file that does not exist yet, on the destination's file system. */
export interface FileOutput {
  readonly kind: "file";
  readonly path: string;
}

/** A blob in the making. */
export interface NewBlob {
  /** Throws to give the blob up: its last chunk is only final once the iteration has ended without an error. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** In bytes; undefined where compression decides it. */
  readonly size: number | undefined;
  /** Digest of all chunks. Called once, after the last. */
  digest(): string;
}

export interface WrittenBlob {
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
}

/**
 * Writes a blob and completes it once its last chunk has come: a blob whose chunks end in an error never becomes one. An
 * unfinished file stays in the destination's staging folder, which is removed with it.
 * @throws DecoderError IO; what `chunks` and `digest` throw
 */
export async function writeBlob(output: BlobOutput, blob: NewBlob): Promise<WrittenBlob> {
  const size = await writeDurably(output.path, blob.chunks);
  return { digest: blob.digest(), size };
}
