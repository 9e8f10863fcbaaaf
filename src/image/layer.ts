import { LayerDecryptor } from "../cipher/decrypt.ts";
import { HeldCiphertext } from "../cipher/held.ts";
import { parseLayerOptions, parsePublicOptions } from "../cipher/options.ts";
import { type ReleaseOptions, releaseLayer } from "../cipher/release.ts";
import { DecoderError } from "../errors.ts";
import type { Input } from "../io/input.ts";
import type { Sink } from "../io/output.ts";
import { stoppable } from "../io/pipe.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { unwrapLayer } from "../keywrap/unwrap.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { parseLayerType } from "../spec/media-types.ts";
import { checkedChunks, locateChecked } from "../transport/blob.ts";
import { checkDescriptor, parseObject } from "../transport/documents.ts";
import type { ImageSource } from "../transport/source.ts";
import { closeLayer, openLayer } from "./open-layer.ts";
import { chooseLayers, EVERYTHING } from "./select.ts";
import { nameOf, readTree } from "./tree.ts";

export interface LayerOfImage {
  /** From 0, or from -1 backwards. */
  readonly position: number;
  /** "linux/arm64", needed when the image is for several. */
  readonly platform?: string;
}

/**
 * Writes one layer's plaintext, decrypted. Nothing is written before all of it is authenticated; and what is decrypted is
 * what was authenticated, even if somebody changes the image meanwhile.
 * @throws DecoderError NOT_FOUND, USAGE when the platform is not clear, and all that reading and opening throw
 */
export async function extractLayer(
  source: ImageSource,
  which: LayerOfImage,
  keys: KeySet,
  settings: SchemeSettings,
  output: Sink,
  { spoolMemory, spoolDirectory }: ReleaseOptions,
  signal?: AbortSignal,
): Promise<Descriptor> {
  const { position, platform } = which;
  const tree = await readTree(source);
  const platforms = platform === undefined ? [] : [platform];
  const [layer, ...others] = chooseLayers(tree, { ...EVERYTHING, platforms, layers: [position] });
  if (layer === undefined) throw new DecoderError("NOT_FOUND", "the image has no layers");
  if (others.length > 0) {
    const names = [layer, ...others].map(({ node }) => nameOf(node)).join(", ");
    throw new DecoderError("USAGE", "the image is for several platforms, and none is named", {
      hint: `name one with --platform: ${names}`,
    });
  }
  const { descriptor } = layer;
  requireEncrypted(descriptor);
  const opened = await openLayer(layer, keys, settings);
  const location = await locateChecked(source, descriptor);
  const decryptor = new LayerDecryptor(opened.options);
  const held = new HeldCiphertext(spoolMemory, spoolDirectory);
  try {
    for await (const chunk of stoppable(checkedChunks(location, descriptor), signal)) {
      decryptor.authenticate(chunk);
      held.append(chunk);
    }
    decryptor.finish(descriptor.digest);
    for (const piece of held.pieces()) {
      if (signal?.aborted) throw new DecoderError("INTERRUPTED", "interrupted");
      await output.write(decryptor.decrypt(piece));
    }
  } finally {
    held.close();
    closeLayer(opened);
  }
  return descriptor;
}

/**
 * Decrypts a layer that comes as a stream, as the stream processor does, but with the descriptor from a file.
 * @throws DecoderError as a decoder call does
 */
export async function decryptStream(
  descriptor: Descriptor,
  keys: KeySet,
  settings: SchemeSettings,
  streams: { readonly input: Input; readonly output: Sink },
  release: ReleaseOptions,
): Promise<void> {
  requireEncrypted(descriptor);
  const annotations = descriptor.annotations ?? {};
  const publicOptions = parsePublicOptions(annotations);
  const opened = await unwrapLayer(annotations, keys, settings);
  const options = parseLayerOptions(publicOptions, opened.options);
  await releaseLayer(streams.input, streams.output, options, descriptor, release);
  options.key.destroy();
}

/** @throws DecoderError BAD_IMAGE */
export function parseDescriptorFile(bytes: Uint8Array, name: string): Descriptor {
  const { value } = parseObject(bytes, name);
  checkDescriptor(value, name);
  return value;
}

function requireEncrypted({ mediaType, digest }: Descriptor): void {
  if (parseLayerType(mediaType)?.encrypted) return;
  throw new DecoderError(
    "BAD_MEDIA_TYPE",
    `layer ${digest} is not encrypted: its media type is ${JSON.stringify(mediaType.slice(0, 128))}`,
    { hint: "ctd-decoder inspect IMAGE shows which layers are" },
  );
}
