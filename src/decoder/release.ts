import { type ReleaseMode, releaseLayer } from "../cipher/release.ts";
import type { FoundLayer, LayerDescriptor } from "../containerd/payload.ts";
import { DecoderError } from "../errors.ts";
import type { FileInput } from "../io/file-input.ts";
import type { Input } from "../io/input.ts";
import type { Output, Sink } from "../io/output.ts";
import { parseLayerType } from "../spec/media-types.ts";
import type { Audit } from "./audit.ts";
import type { Opening } from "./judge.ts";

export interface ReleaseOptions {
  readonly mode: ReleaseMode;
  /** Bytes of ciphertext held in memory. */
  readonly spoolMemory: number;
  /** Folder of the temporary file for the rest; undefined for the default. */
  readonly spoolDirectory: string | undefined;
  /** Checks the layer against the descriptor's digest, too. */
  readonly verifyDigest: boolean;
  /** "tar": a compressed layer is also decompressed. undefined: what was encrypted comes out. */
  readonly returns?: "tar";
  readonly maxExpansion: Expansion;
}

/** The largest decompressed layer: a multiple of the compressed one, or `atLeast` bytes if that is more. */
export interface Expansion {
  readonly times: number;
  readonly atLeast: number;
}

interface Streams {
  readonly input: Input;
  readonly output: Output;
  /** Whether a large layer may be read from the blob that containerd has open. */
  readonly mayReadBlobs: boolean;
}

/**
 * Verifies the layer and releases it with the first key that was opened. The next one is tried only if the first may be
 * another manifest's.
 * @param openings at least one
 * @throws DecoderError of the first one, and what the iteration throws
 */
export async function releaseOpened(
  openings: AsyncIterable<Opening>,
  streams: Streams,
  options: ReleaseOptions,
  audit: Audit,
): Promise<void> {
  let failure: unknown;
  for await (const opening of openings) {
    try {
      const { blob } = opening.found;
      const isInputLeft = failure === undefined && blob?.isRead !== true;
      const file = isInputLeft ? await fedFile(streams, opening.found, options) : blob?.file.again();
      const sink = await sinkOf(streams.output, opening.found.descriptor, options);
      await releaseOne(opening, { input: file ?? streams.input, output: sink }, options, audit);
      return;
    } catch (error) {
      if (!mayBeAnothers(opening.found, options.mode, error)) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

async function releaseOne(
  { found, layer }: Opening,
  { input, output }: { readonly input: Input; readonly output: Sink },
  { mode, spoolMemory, spoolDirectory, verifyDigest }: ReleaseOptions,
  audit: Audit,
): Promise<void> {
  const { size } = found.descriptor;
  const expected = { size, digest: verifyDigest ? digestOf(found.descriptor) : undefined };
  const onAuthentic = (bytes: number) => audit.authentic(found, layer, bytes);
  const policy = { mode, spoolMemory, spoolDirectory, onAuthentic };
  await releaseLayer({ input, output }, layer.options, expected, policy);
  await output.finish?.();
}

/**
 * The file that feeds standard input, if it can be found and the layer is too large for memory. A file need not be copied to
 * be read twice, and skips the pipe. containerd accepts that standard input is not read.
 */
function fedFile(
  { input, mayReadBlobs }: Streams,
  { descriptor: { digest, size }, blob }: FoundLayer,
  { spoolMemory }: ReleaseOptions,
): Promise<FileInput | undefined> | undefined {
  const bytes = size ?? blob?.file.size;
  if (bytes === undefined || bytes <= spoolMemory || digest === undefined || !mayReadBlobs) return undefined;
  return import("../containerd/store/blobs.ts").then(({ inputBlob }) => inputBlob(input, digest, bytes));
}

/**
 * Whether another manifest may hold the layer's right key. That is so if this one's is wrong, it came from the content store,
 * nothing has left yet, and the layer can be read again from the file that containerd feeds to standard input.
 */
function mayBeAnothers({ blob }: FoundLayer, mode: ReleaseMode, error: unknown): boolean {
  const isForged = error instanceof DecoderError && error.code === "AUTHENTICATION";
  return isForged && mode === "verified" && blob?.isInput === true;
}

/** A missing digest must not pass for a match. */
function digestOf({ digest }: LayerDescriptor): string {
  if (digest !== undefined) return digest;
  throw new DecoderError(
    "BAD_DESCRIPTOR",
    "the layer's descriptor has no digest, so --verify-digest can't compare it",
  );
}

/** Where authenticated plaintext goes; with `returns: "tar"` it is decompressed on the way. */
function sinkOf(
  output: Output,
  { mediaType, size = 0 }: LayerDescriptor,
  { returns, maxExpansion: { times, atLeast } }: ReleaseOptions,
): Sink | Promise<Sink> {
  if (returns !== "tar" || parseLayerType(mediaType)?.compression === "none") return output;
  const atMost = Math.max(times * size, atLeast);
  return import("../io/decompress.ts").then(({ Expander }) => new Expander(output, atMost));
}
