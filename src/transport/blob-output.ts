import { writeDurably } from "../io/staging.ts";
import type { RemoteRepository } from "../registry/remote.ts";
import type { Upload } from "../registry/upload.ts";

/** Where one new blob is written: plain data that crosses to the layer threads. */
export type BlobOutput = FileOutput | UploadOutput;

/** A file that does not exist yet, on the destination's file system. */
export interface FileOutput {
  readonly kind: "file";
  readonly path: string;
}

/** A blob of a registry. */
interface UploadOutput {
  readonly kind: "upload";
  readonly remote: RemoteRepository;
  /** Address of an upload that the registry has already begun. */
  readonly begun?: string;
}

/** What a destination has made room for is its own: another kind of output is a defect. */
export function fileOf(output: BlobOutput): string {
  if (output.kind !== "file") throw new Error(`bug: ${output.kind} is not an output of files`);
  return output.path;
}

/** A blob in the making. */
interface NewBlob {
  /** Throws to give the blob up: its last chunk is only final once the iteration has ended without an error. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** In bytes; undefined where compression decides it. */
  readonly size: number | undefined;
  /** Called with each chunk once it is written and its memory can be reused. */
  readonly onWritten?: ((chunk: Uint8Array) => void) | undefined;
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
 * unfinished file stays in the destination's staging folder, which is removed with it; an unfinished upload is cancelled.
 * @param name for messages: "layer 2"
 * @param make begins the blob. It is called again when a broken upload starts again, so that each attempt has its own key
 *   and nonce: a registry may have kept what it got of the first.
 * @throws DecoderError IO, REGISTRY, UNAUTHORIZED; what `chunks` and `digest` throw
 */
export async function writeBlob(output: BlobOutput, name: string, make: () => NewBlob): Promise<WrittenBlob> {
  if (output.kind === "upload") return await upload(output, name, make);
  const blob = make();
  const size = await writeDurably(output.path, blob.chunks, { onWritten: blob.onWritten });
  return { digest: blob.digest(), size };
}

async function upload(
  { remote, begun }: UploadOutput,
  name: string,
  make: () => NewBlob,
): Promise<WrittenBlob> {
  const [{ uploading }, { remoteClient }] = await Promise.all([
    import("../registry/upload.ts"),
    import("./remote-clients.ts"),
  ]);
  const send = async (upload: Upload) => {
    const blob = make();
    await upload.send({ chunks: blob.chunks, size: blob.size, onSent: blob.onWritten });
    const digest = blob.digest();
    await upload.commit(digest);
    return { digest, size: upload.sent };
  };
  return await uploading(await remoteClient(remote), name, send, begun);
}
