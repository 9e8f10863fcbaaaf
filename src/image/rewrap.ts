import type { KeySet } from "../keys/keyset.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { LayerWrapper } from "../keywrap/wrap.ts";
import type { OpenedLayer } from "../layer/open.ts";
import { KEYS_PREFIX } from "../spec/annotations.ts";
import type { SourceReference } from "../transport/transport.ts";
import { LayerOpener } from "./layer-opener.ts";
import type { Running } from "./progress.ts";
import { type Into, type LayerChange, type RewriteResult, rewriteImage } from "./rewrite.ts";
import { type ChosenLayer, chooseEncryptedLayers, type Selection } from "./select.ts";
import type { ImageTree } from "./tree.ts";

export interface RewrapOptions {
  readonly source: SourceReference;
  readonly into: Into;
  readonly running: Running;
  readonly keys: KeySet;
  /** "jwe:pub.pem" and the like. */
  readonly recipients: readonly string[];
  /** Whether the layers' present recipients stay. */
  readonly keep: boolean;
  readonly settings: WrapSettings;
  readonly selection: Selection;
}

/**
 * Wraps the keys of encrypted layers for other recipients. Layer data and layer keys stay the same, so former recipients
 * who kept them can still read the layers.
 * @throws DecoderError BAD_RECIPIENT, NO_KEY, NOT_FOUND when no chosen layer is encrypted, and what reading and writing
 * throw; the destination is then as it was
 */
export async function rewrapImage(options: RewrapOptions): Promise<RewriteResult> {
  const { source, selection, into, running } = options;
  const wrapper = await LayerWrapper.prepare(options.recipients, options.settings);
  const opener = new LayerOpener(options.keys, options.settings);
  const rewriting = {
    encrypts: true,
    opensSlowly: source.opensSlowly,
    needsPlatforms: selection.platforms.length > 0,
    open: async () => await source.open(running),
    plan: async (tree: ImageTree) => {
      const changes: LayerChange[] = [];
      for (const layer of chooseEncryptedLayers(tree, selection)) {
        const opened = await opener.open(layer);
        changes.push(rewrapped(layer, opened, wrapper, options.keep ? "add" : "replace"));
      }
      return changes;
    },
  };
  try {
    return await rewriteImage(rewriting, into, running);
  } finally {
    opener.close();
  }
}

/** The change that adds recipients to a layer, or replaces its recipients. The layer's data is not touched. */
export function rewrapped(
  { node, position, descriptor }: ChosenLayer,
  opened: OpenedLayer,
  wrapper: LayerWrapper,
  mode: "add" | "replace",
): LayerChange {
  const old = Object.entries(descriptor.annotations ?? {});
  const kept = Object.fromEntries(
    mode === "add" ? old : old.filter(([name]) => !name.startsWith(KEYS_PREFIX)),
  );
  return {
    node,
    position,
    descriptor,
    action: "rewrapped",
    async work(workshop) {
      const transfer = await workshop.copy(descriptor);
      const added = await wrapper.wrap(opened.privateOptions.bytes, kept);
      return { transfer, descriptor: { ...descriptor, annotations: { ...kept, ...added } } };
    },
  };
}
