import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import type { OpenedLayer } from "../layer/open.ts";
import { parseLayerType } from "../spec/media-types.ts";
import type { SourceReference } from "../transport/transport.ts";
import { withoutCryptAnnotations } from "./layer-annotations.ts";
import type { LayerChange } from "./layer-change.ts";
import type { LayerOutput } from "./layer-jobs.ts";
import { LayerOpener, layerKey } from "./layer-opener.ts";
import type { Running } from "./progress.ts";
import { type Into, type RewriteResult, rewriteImage } from "./rewrite.ts";
import { type ChosenLayer, chooseEncryptedLayers, type Selection } from "./select.ts";
import type { ImageTree } from "./tree.ts";

interface DecryptOptions {
  readonly source: SourceReference;
  readonly into: Into;
  readonly running: Running;
  readonly keys: KeySet;
  readonly settings: SchemeSettings;
  readonly selection: Selection;
}

/**
 * Decrypts those of the chosen layers that are encrypted. When it returns, all chosen layers are plain.
 * @throws DecoderError NO_KEY, AUTHENTICATION, NOT_FOUND when no chosen layer is encrypted, and what reading and writing
 * throw; the destination is then as it was
 */
export async function decryptImage(options: DecryptOptions): Promise<RewriteResult> {
  const { source, selection, into, running } = options;
  const opener = new LayerOpener(options.keys, options.settings);
  const rewriting = {
    encrypts: false,
    opensSlowly: source.opensSlowly,
    needsPlatforms: true,
    open: async (opening: Running) => await source.open(opening),
    plan: async (tree: ImageTree) => {
      const changes: LayerChange[] = [];
      const plain: PlainBlobs = new Map();
      for (const layer of chooseEncryptedLayers(tree, selection)) {
        changes.push(decrypted(layer, await opener.open(layer), plain));
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

/** Descriptor, as JSON → its decrypted blob. Platforms may share a layer: it is decrypted once. */
type PlainBlobs = Map<string, Promise<LayerOutput>>;

function decrypted(
  { node, position, descriptor }: ChosenLayer,
  opened: OpenedLayer,
  plain: PlainBlobs,
): LayerChange {
  const type = parseLayerType(descriptor.mediaType);
  if (type === undefined) throw new Error("bug: a layer of an unknown type was chosen");
  return {
    node,
    position,
    descriptor,
    action: "decrypted",
    async work(workshop) {
      // With other annotations, the blob may have another key.
      const id = JSON.stringify(descriptor);
      const options = layerKey(opened);
      const blob =
        plain.get(id) ??
        workshop.make(descriptor, (input, output) => ({ kind: "decrypt", ...input, output, options }));
      plain.set(id, blob);
      const { digest, size } = await blob;
      const changed = { ...withoutCryptAnnotations(descriptor), mediaType: type.oci, digest, size };
      return { descriptor: changed, transfer: "copied" };
    },
  };
}
