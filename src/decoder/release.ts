import { releaseLayer } from "../cipher/release.ts";
import type { Candidate, LayerDescriptor } from "../containerd/payload.ts";
import { DecoderError } from "../errors.ts";
import type { FileInput } from "../io/file-input.ts";
import type { Input } from "../io/input.ts";
import type { Output, Sink } from "../io/output.ts";
import { parseLayerType } from "../spec/media-types.ts";
import type { Audit } from "./audit.ts";
import type { DecoderOptions } from "./flags.ts";
import type { OpenedCandidate } from "./open-layer.ts";

export interface Streams {
  readonly input: Input;
  readonly output: Output;
}

/**
 * Verifies and releases the layer with the first key that was opened; with the next one only where the first may have been
 * another manifest's.
 * @param openings at least one
 * @throws DecoderError of the first, and what asking for openings throws
 */
export async function releaseAuthentic(
  openings: AsyncIterable<OpenedCandidate>,
  { input, output }: Streams,
  options: DecoderOptions,
  audit: Audit,
): Promise<void> {
  let failure: unknown;
  for await (const opened of openings) {
    const isAgain = failure !== undefined;
    try {
      const file = isAgain ? opened.blob?.file.again() : await fileOf(input, opened, options);
      await release(file ?? input, output, opened, options, audit);
      return;
    } catch (error) {
      if (!mayBeOfAnother(opened, options, error)) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

/**
 * The file that is fed to standard input, if the layer is too large to be held in memory and the file can be found: it
 * need not be copied to be read twice, nor pass through a pipe. containerd does not mind that standard input is not read.
 */
async function fileOf(
  input: Input,
  { descriptor: { digest, size }, blob }: Candidate,
  { spoolMemory, useContentStore }: DecoderOptions,
): Promise<FileInput | undefined> {
  const bytes = size ?? blob?.file.size;
  if (bytes === undefined || bytes <= spoolMemory || digest === undefined || !useContentStore)
    return undefined;
  const { inputBlob } = await import("../containerd/store/input-blob.ts");
  return inputBlob(input, digest, bytes);
}

async function release(
  input: Input,
  output: Output,
  opened: OpenedCandidate,
  options: DecoderOptions,
  audit: Audit,
): Promise<void> {
  const { descriptor, layer } = opened;
  const expected = {
    size: descriptor.size,
    digest: options.verifyDigest ? digestOf(descriptor) : undefined,
  };
  const onAuthentic = (bytes: number) => audit.authentic(opened, bytes);
  const sink: Sink = options.returns === "tar" ? await expanding(output, descriptor, options) : output;
  const { release: mode, spoolMemory, spoolDirectory } = options;
  await releaseLayer({ input, output: sink }, layer.options, expected, {
    mode,
    spoolMemory,
    spoolDirectory,
    onAuthentic,
  });
  await sink.finish?.();
}

/**
 * Whether another manifest may hold the layer's right key: this one's is not, it was found in the content store, nothing
 * has left yet, and what was read from standard input can be read again, from the file that containerd feeds to it.
 */
function mayBeOfAnother({ blob }: Candidate, options: DecoderOptions, error: unknown): boolean {
  const isForged = error instanceof DecoderError && error.code === "AUTHENTICATION";
  return isForged && options.release === "verified" && blob?.isInput === true;
}

/** `--verify-digest`: without a digest there is nothing to compare with, which must not pass for a match. */
function digestOf({ digest }: LayerDescriptor): string {
  if (digest !== undefined) return digest;
  throw new DecoderError(
    "BAD_DESCRIPTOR",
    "the layer's descriptor has no digest, so that --verify-digest can't compare",
  );
}

/** `--returns tar`: what was authenticated is decompressed on its way out. */
async function expanding(
  output: Output,
  { mediaType, size = 0 }: LayerDescriptor,
  { maxExpansion: { times, atLeast } }: DecoderOptions,
): Promise<Sink> {
  if (parseLayerType(mediaType)?.compression === "none") return output;
  const { Expander } = await import("../io/decompress.ts");
  return new Expander(output, Math.max(times * size, atLeast));
}
