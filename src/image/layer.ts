import { releaseLayer } from "../cipher/release.ts";
import { DecoderError } from "../errors.ts";
import { ChunkInput } from "../io/chunk-input.ts";
import type { ByteSource } from "../io/input.ts";
import type { Sink } from "../io/output.ts";
import { stoppable } from "../io/pipe.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { openLayer } from "../layer/open.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { parseLayerType } from "../spec/media-types.ts";
import { checkedChunks, locateChecked } from "../transport/blob.ts";
import { checkDescriptor, parseObject } from "../transport/documents.ts";
import type { ImageSource } from "../transport/source.ts";
import { LayerOpener } from "./layer-opener.ts";
import { type ChosenLayer, chooseLayers, EVERYTHING } from "./select.ts";
import { nameOf } from "./tree.ts";
import { readTree } from "./tree-reader.ts";

interface LayerOfImage {
  /** Position from 0, or from -1 backwards. */
  readonly position: number;
  /** "linux/arm64". Required if the image has several platforms. */
  readonly platform?: string;
}

/** How a layer's key is found. */
interface Opening {
  readonly keys: KeySet;
  readonly settings: SchemeSettings;
}

/** Where the plaintext goes, and how much ciphertext may wait for the verdict in memory. */
interface Extraction {
  readonly output: Sink;
  readonly spoolMemory: number;
  readonly spoolDirectory: string | undefined;
  readonly signal?: AbortSignal;
}

/**
 * Writes the plaintext of one layer of an image. Nothing is written before all of the layer is authenticated.
 * @throws DecoderError NOT_FOUND, USAGE when a platform must be named, and what reading and opening throw
 */
export async function extractLayer(
  source: ImageSource,
  which: LayerOfImage,
  { keys, settings }: Opening,
  { output, signal, spoolMemory, spoolDirectory }: Extraction,
): Promise<Descriptor> {
  const layer = await oneLayer(source, which);
  const { descriptor } = layer;
  const opener = new LayerOpener(keys, settings);
  try {
    const { options } = await opener.open(layer);
    const location = await locateChecked(source, descriptor);
    const input = new ChunkInput(stoppable(checkedChunks(location, descriptor), signal), descriptor.size);
    try {
      const streams = { input, output: stoppableSink(output, signal) };
      const expected = { size: descriptor.size, digest: undefined };
      await releaseLayer(streams, options, expected, { mode: "verified", spoolMemory, spoolDirectory });
    } finally {
      await input.close();
    }
  } finally {
    opener.close();
  }
  return descriptor;
}

async function oneLayer(source: ImageSource, { position, platform }: LayerOfImage): Promise<ChosenLayer> {
  const tree = await readTree(source);
  const platforms = platform === undefined ? [] : [platform];
  const [layer, ...others] = chooseLayers(tree, { ...EVERYTHING, platforms, layers: [position] });
  if (layer === undefined) throw new DecoderError("NOT_FOUND", "the image has no layers");
  if (others.length > 0) {
    const names = [layer, ...others].map(({ node }) => nameOf(node)).join(", ");
    throw new DecoderError("USAGE", "the image has several platforms; one must be named", {
      hint: `name one with --platform: ${names}`,
    });
  }
  requireEncrypted(layer.descriptor.mediaType, `layer ${layer.position} of ${nameOf(layer.node)}`);
  return layer;
}

function requireEncrypted(mediaType: string, layer: string): void {
  if (parseLayerType(mediaType)?.encrypted) return;
  throw new DecoderError(
    "BAD_MEDIA_TYPE",
    `${layer} is not encrypted: its media type is ${JSON.stringify(mediaType.slice(0, 128))}`,
    { hint: "ctd-decoder inspect IMAGE shows which layers are encrypted" },
  );
}

/** A sink that refuses to write after the signal. */
function stoppableSink(output: Sink, signal: AbortSignal | undefined): Sink {
  return {
    write: (bytes) => {
      if (signal?.aborted) throw new DecoderError("INTERRUPTED", "interrupted");
      return output.write(bytes);
    },
  };
}

/**
 * Decrypts a layer from a stream, as the stream processor does. The descriptor comes from a file.
 * @throws DecoderError what a decoder call throws
 */
export async function decryptStream(
  descriptor: Descriptor,
  input: ByteSource,
  { keys, settings }: Opening,
  { output, spoolMemory, spoolDirectory }: Extraction,
): Promise<void> {
  requireEncrypted(descriptor.mediaType, `layer ${descriptor.digest}`);
  const opened = await openLayer(descriptor, keys, settings);
  try {
    const policy = { mode: "verified", spoolMemory, spoolDirectory } as const;
    await releaseLayer({ input, output }, opened.options, descriptor, policy);
  } finally {
    opened.close();
  }
}

/** @throws DecoderError BAD_IMAGE */
export function parseDescriptorFile(bytes: Uint8Array, name: string): Descriptor {
  const { value } = parseObject(bytes, name);
  checkDescriptor(value, name);
  return value;
}
