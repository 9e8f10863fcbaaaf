import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import { Removal } from "../keywrap/removal.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { LayerWrapper } from "../keywrap/wrap.ts";
import type { OpenedLayer } from "../layer/open.ts";
import { KEYS_PREFIX } from "../spec/annotations.ts";
import type { SourceReference } from "../transport/transport.ts";
import type { LayerChange } from "./layer-change.ts";
import { LayerOpener } from "./layer-opener.ts";
import type { Running } from "./progress.ts";
import { type Into, type RewriteResult, rewriteImage } from "./rewrite.ts";
import { type ChosenLayer, chooseEncryptedLayers, type Selection } from "./select.ts";
import type { ImageTree } from "./tree.ts";

/** How the recipients of layers change. Recipients have the forms of `encrypt`: "jwe:pub.pem". */
export interface RecipientChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Removes all recipients but the added ones. */
  readonly isOnly: boolean;
}

interface RewrapOptions {
  readonly source: SourceReference;
  readonly into: Into;
  readonly running: Running;
  /** Keys that open the layers. Not needed when recipients are only removed. */
  readonly keys?: KeySet;
  readonly recipients: RecipientChanges;
  readonly settings: WrapSettings;
  readonly selection: Selection;
}

/**
 * Wraps the keys of encrypted layers for other recipients. Layer data and layer keys stay the same, so former recipients
 * who kept them can still read the layers.
 * @throws DecoderError BAD_RECIPIENT, also for a layer that would have no recipient left, NO_KEY, NOT_FOUND when no chosen layer is
 * encrypted, and what reading and writing throw; the destination is then as it was
 */
export async function rewrapImage(options: RewrapOptions): Promise<RewriteResult> {
  const { source, selection, into, running, recipients, settings, keys } = options;
  const removal = await Removal.prepare(recipients.removed, settings);
  const wrapper =
    recipients.added.length === 0 ? null : await LayerWrapper.prepare(recipients.added, settings);
  const opener = keys && new LayerOpener(keys, settings);
  const rewriting = {
    encrypts: true,
    opensSlowly: source.opensSlowly,
    needsPlatforms: selection.platforms.length > 0,
    open: async (opening: Running) => await source.open(opening),
    plan: async (tree: ImageTree) => {
      const changes: LayerChange[] = [];
      for (const layer of chooseEncryptedLayers(tree, selection)) {
        const before = layer.descriptor.annotations ?? {};
        const kept = recipients.isOnly ? withoutWrappedKeys(before) : await removal.apply(before);
        if (wrapper !== null && opener !== undefined)
          changes.push(rewrapped(layer, await opener.open(layer), wrapper, kept));
        else changes.push(reduced(layer, kept));
      }
      removal.checkAllFound();
      return changes;
    },
  };
  try {
    return await rewriteImage(rewriting, into, running);
  } finally {
    opener?.close();
  }
}

function withoutWrappedKeys(annotations: Readonly<Record<string, string>>): Record<string, string> {
  const kept = Object.entries(annotations).filter(([name]) => !name.startsWith(KEYS_PREFIX));
  return Object.fromEntries(kept);
}

/**
 * The change that adds recipients to a layer. The layer's data is not touched.
 * @param kept the layer's annotations, with the recipients that stay
 */
export function rewrapped(
  layer: ChosenLayer,
  opened: OpenedLayer,
  wrapper: LayerWrapper,
  kept: Readonly<Record<string, string>> = layer.descriptor.annotations ?? {},
): LayerChange {
  return annotated(layer, async () => ({
    ...kept,
    ...(await wrapper.wrap(opened.privateOptions.bytes, kept)),
  }));
}

/** The change that only removes recipients. */
function reduced(layer: ChosenLayer, kept: Readonly<Record<string, string>>): LayerChange {
  if (!Object.keys(kept).some((name) => name.startsWith(KEYS_PREFIX))) {
    throw new DecoderError("BAD_RECIPIENT", `layer ${layer.position} would have no recipient left`, {
      hint: "name a new recipient as well: --recipient jwe:FILE",
    });
  }
  return annotated(layer, async () => kept);
}

/** The change that keeps a layer's data and gives it other annotations. */
function annotated(
  { node, position, descriptor }: ChosenLayer,
  annotations: () => Promise<Readonly<Record<string, string>>>,
): LayerChange {
  return {
    node,
    position,
    descriptor,
    action: "rewrapped",
    async work(workshop) {
      const transfer = await workshop.copy(descriptor);
      return { transfer, descriptor: { ...descriptor, annotations: await annotations() } };
    },
  };
}
