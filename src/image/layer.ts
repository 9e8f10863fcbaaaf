import { LayerDecryptor } from "../cipher/decrypt.ts";
import { HeldCiphertext } from "../cipher/held.ts";
import { type ReleaseOptions, releaseLayer } from "../cipher/release.ts";
import { DecoderError } from "../errors.ts";
import type { Input } from "../io/input.ts";
import type { Sink } from "../io/output.ts";
import { stoppable } from "../io/pipe.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { openLayer } from "../layer/open.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { checkedChunks, locateChecked } from "../transport/blob.ts";
import { checkDescriptor, parseObject } from "../transport/documents.ts";
import type { ImageSource } from "../transport/source.ts";
import { LayerOpener } from "./open-layer.ts";
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
  const opener = new LayerOpener(keys, settings);
  const held = new HeldCiphertext(spoolMemory, spoolDirectory);
  try {
    const { options } = await opener.open(layer);
    const location = await locateChecked(source, descriptor);
    const decryptor = new LayerDecryptor(options);
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
    opener.close();
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
  const opened = await openLayer(descriptor, keys, settings);
  try {
    await releaseLayer(streams.input, streams.output, opened.options, descriptor, release);
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
