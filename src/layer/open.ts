import { type LayerOptions, parseLayerOptions, parsePublicOptions } from "../cipher/options.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { type UnwrappedKey, unwrapLayer } from "../keywrap/unwrap.ts";
import type { Secret } from "../secret.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { parseLayerType } from "../spec/media-types.ts";

/** The wrapped key that opened a layer, and the key that opened it. */
export type Opener = Omit<UnwrappedKey, "options">;

/** A layer whose key was found. Whoever opened it owns its secrets, and calls `close` in a `finally`. */
export class OpenedLayer {
  /** What verifying and decrypting need. */
  readonly options: LayerOptions;
  /** The private options as the encrypting tool wrote them. A rewrap wraps these bytes again. */
  readonly privateOptions: Secret;
  readonly by: Opener;

  constructor(options: LayerOptions, privateOptions: Secret, by: Opener) {
    this.options = options;
    this.privateOptions = privateOptions;
    this.by = by;
  }

  /** Zeroes the key and the private options. */
  close(): void {
    this.options.key.destroy();
    this.privateOptions.destroy();
  }
}

/**
 * Finds the key of an encrypted layer, by its descriptor. This reads nothing of the layer's data.
 * @throws DecoderError BAD_MEDIA_TYPE for a layer that is not encrypted, BAD_ANNOTATION or BAD_OPTIONS for options that
 * can't be right, and what `unwrapLayer` throws: NO_KEY and others
 */
export async function openLayer(
  { mediaType, annotations = {} }: Pick<Descriptor, "mediaType" | "annotations">,
  keys: KeySet,
  settings: SchemeSettings,
): Promise<OpenedLayer> {
  if (!parseLayerType(mediaType)?.encrypted) {
    throw new DecoderError(
      "BAD_MEDIA_TYPE",
      `the media type ${JSON.stringify(mediaType.slice(0, 128))} is not that of an encrypted layer`,
      {
        hint: "list only media types that end in +encrypted under a stream processor's accepts; ctd-decoder inspect IMAGE shows which layers are encrypted",
      },
    );
  }
  const publicOptions = parsePublicOptions(annotations);
  const { options: privateOptions, ...by } = await unwrapLayer(annotations, keys, settings);
  try {
    return new OpenedLayer(parseLayerOptions(publicOptions, privateOptions.bytes), privateOptions, by);
  } catch (error) {
    privateOptions.destroy();
    throw error;
  }
}
