import type { KeySet } from "../keys/keyset.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { LayerWrapper } from "../keywrap/wrap.ts";
import type { SourceReference } from "../transport/transport.ts";
import { encryptedLayers } from "./decrypt.ts";
import { LayerOpener, rewrap } from "./open-layer.ts";
import {
  type LayerChange,
  type RewriteOptions,
  type RewriteResult,
  rewriteImage,
  withImage,
} from "./rewrite.ts";
import { chooseLayers, type Selection } from "./select.ts";
import { readTree } from "./tree.ts";

export interface RewrapOptions extends RewriteOptions {
  readonly source: SourceReference;
  readonly keys: KeySet;
  /** "jwe:pub.pem" and the like. */
  readonly recipients: readonly string[];
  /** Whether the recipients that the layers have stay beside the new ones. */
  readonly keep: boolean;
  readonly settings: WrapSettings;
  readonly selection: Selection;
}

/**
 * Wraps the keys of encrypted layers for other recipients. Layer data and layer keys stay the same, so who had them can
 * still read the layers.
 * @throws DecoderError BAD_RECIPIENT, NO_KEY, NOT_FOUND when nothing is encrypted, and what reading and writing throw
 */
export async function rewrapImage(options: RewrapOptions): Promise<RewriteResult> {
  const wrapper = await LayerWrapper.prepare(options.recipients, options.settings);
  return await withImage(options.source, options.signal, async (source) => {
    // In a registry, a platform's name in messages is not worth a request.
    const readsConfigurations = source.isRemote !== true || options.selection.platforms.length > 0;
    const tree = await readTree(source, { readsConfigurations });
    const opener = new LayerOpener(options.keys, options.settings);
    try {
      const changes: LayerChange[] = [];
      for (const layer of encryptedLayers(chooseLayers(tree, options.selection)))
        changes.push(rewrap(layer, await opener.open(layer), wrapper, options.keep ? "add" : "replace"));
      return await rewriteImage(source, tree, changes, options);
    } finally {
      opener.close();
    }
  });
}
