import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import type { OpenedLayer } from "../layer/open.ts";
import { parseLayerType } from "../spec/media-types.ts";
import type { SourceReference } from "../transport/transport.ts";
import { LayerOpener, layerKey, withoutEncryption } from "./open-layer.ts";
import {
  type LayerChange,
  type RewriteOptions,
  type RewriteResult,
  rewriteImage,
  withImage,
} from "./rewrite.ts";
import { type ChosenLayer, chooseLayers, type Selection } from "./select.ts";
import { readTree } from "./tree.ts";

export interface DecryptOptions extends RewriteOptions {
  readonly source: SourceReference;
  readonly keys: KeySet;
  readonly settings: SchemeSettings;
  readonly selection: Selection;
}

/**
 * Decrypts the chosen layers that are encrypted; when it returns, they all are plain.
 * @throws DecoderError NO_KEY, AUTHENTICATION, NOT_FOUND when nothing is encrypted, and what reading and writing throw
 */
export async function decryptImage(options: DecryptOptions): Promise<RewriteResult> {
  return await withImage(options.source, options.signal, async (source) => {
    const tree = await readTree(source);
    const opener = new LayerOpener(options.keys, options.settings);
    try {
      const changes: LayerChange[] = [];
      for (const layer of encryptedLayers(chooseLayers(tree, options.selection)))
        changes.push(decryption(layer, await opener.open(layer)));
      return await rewriteImage(source, tree, changes, options);
    } finally {
      opener.close();
    }
  });
}

/** Those that are encrypted. @throws DecoderError NOT_FOUND when none is */
export function encryptedLayers(layers: readonly ChosenLayer[]): ChosenLayer[] {
  const encrypted = layers.filter(({ descriptor }) => parseLayerType(descriptor.mediaType)?.encrypted);
  if (encrypted.length > 0) return encrypted;
  throw new DecoderError(
    "NOT_FOUND",
    layers.length === 0 ? "the image has no such layers" : "none of the chosen layers is encrypted",
    { hint: "ctd-decoder inspect IMAGE shows which are; ctd-decoder encrypt encrypts them" },
  );
}

/** All keys are found before the first byte is decrypted. */
function decryption(layer: ChosenLayer, opened: OpenedLayer): LayerChange {
  const { descriptor } = layer;
  const type = parseLayerType(descriptor.mediaType);
  if (type === undefined) throw new Error("bug: a layer of no known type was chosen");
  return {
    ...layer,
    action: "decrypted",
    async work(workshop) {
      const options = layerKey(opened);
      const { digest, size } = await workshop.make(descriptor, (input, output) => ({
        kind: "decrypt",
        ...input,
        output,
        options,
      }));
      const plain = { ...withoutEncryption(descriptor), mediaType: type.oci, digest, size };
      return { descriptor: plain, transfer: "copied" };
    },
  };
}
