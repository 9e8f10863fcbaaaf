import { DecoderError } from "../errors.ts";
import type { LayerWrapper } from "../keywrap/wrap.ts";
import { sealOptions } from "../layer/seal.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { type Compression, encryptedType, type LayerType } from "../spec/media-types.ts";
import type { LayerCompression } from "./build.ts";
import { withoutCryptAnnotations } from "./layer-annotations.ts";
import type { LayerChange } from "./layer-change.ts";
import type { ChosenLayer } from "./select.ts";
import { nameOf } from "./tree.ts";
import type { Workshop } from "./workshop.ts";

/** Encrypts plain layers. Platforms may share a layer: it is encrypted once. */
export class LayerEncryptor {
  readonly #wrapper: LayerWrapper | undefined;
  readonly #compression: LayerCompression;
  readonly #level: number;
  readonly #encrypted = new Map<string, Promise<Descriptor>>();

  /** @param wrapper undefined where no recipient is named for plain layers: meeting one is then an error */
  constructor(wrapper: LayerWrapper | undefined, compression: LayerCompression, level: number) {
    this.#wrapper = wrapper;
    this.#compression = compression;
    this.#level = level;
  }

  /** @throws DecoderError BAD_RECIPIENT */
  change(layer: ChosenLayer, type: LayerType): LayerChange {
    const { node, position, descriptor } = layer;
    const wrapper = this.#wrapper;
    if (wrapper === undefined) {
      throw new DecoderError(
        "BAD_RECIPIENT",
        `layer ${position} of ${nameOf(node)} is not encrypted, and no recipient is named for it`,
        { hint: "name one with --recipient, or choose only encrypted layers with --layer" },
      );
    }
    return {
      node,
      position,
      descriptor,
      action: "encrypted",
      work: async (workshop) => {
        const made = await this.#once(descriptor, () => this.#encrypt(descriptor, type, wrapper, workshop));
        return { descriptor: merged(descriptor, made), transfer: "copied" };
      },
    };
  }

  /** Encrypts each different layer once: a digest under two media types is two layers. */
  #once({ digest, mediaType }: Descriptor, encrypt: () => Promise<Descriptor>): Promise<Descriptor> {
    const id = `${digest} ${mediaType}`;
    const known = this.#encrypted.get(id) ?? encrypt();
    this.#encrypted.set(id, known);
    return known;
  }

  async #encrypt(
    descriptor: Descriptor,
    type: LayerType,
    wrapper: LayerWrapper,
    workshop: Workshop,
  ): Promise<Descriptor> {
    const from = type.compression;
    const to = this.#compression === "keep" || from === "zstd" ? from : this.#compression;
    const recompress = { from, to, level: this.#level };
    const { digest, size, encrypted } = await workshop.make(descriptor, (input, output) => ({
      kind: "encrypt",
      ...input,
      output,
      recompress,
    }));
    if (encrypted === undefined) throw new Error("bug: an encrypted layer came without its options");
    const annotations = await sealOptions(encrypted, wrapper);
    const mediaType = encryptedType({ ...type, oci: withCompression(type.oci, to) });
    return { mediaType, digest, size, annotations };
  }
}

function withCompression(mediaType: string, compression: Compression): string {
  const base = mediaType.replace(/\+(?:gzip|zstd)$/, "");
  return compression === "none" ? base : `${base}+${compression}`;
}

/**
 * The layer's descriptor with its new content. Nothing may lead back to the plaintext: `data` is a copy of it, `urls` are
 * other places where it is (OCI image spec, "Content Descriptors"), and some annotations describe it.
 */
function merged(old: Descriptor, made: Descriptor): Descriptor {
  const { data: _data, urls: _urls, ...kept } = withoutCryptAnnotations(old);
  return { ...kept, ...made, annotations: { ...kept.annotations, ...made.annotations } } as Descriptor;
}
