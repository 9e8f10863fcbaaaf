import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import type { LayerWrapper } from "../keywrap/wrap.ts";
import { type OpenedLayer, openLayer } from "../layer/open.ts";
import { isEncryptionAnnotation, KEYS_PREFIX } from "../spec/annotations.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { LayerKey } from "./layer-jobs.ts";
import type { LayerChange, MadeLayer } from "./rewrite.ts";
import type { ChosenLayer } from "./select.ts";
import { nameOf } from "./tree.ts";

/** Opens layers of an image, and owns their secrets until `close`. */
export class LayerOpener {
  readonly #keys: KeySet;
  readonly #settings: SchemeSettings;
  readonly #opened: OpenedLayer[] = [];

  constructor(keys: KeySet, settings: SchemeSettings) {
    this.#keys = keys;
    this.#settings = settings;
  }

  /** @throws DecoderError as `openLayer`, naming the layer */
  async open({ descriptor, position, node }: ChosenLayer): Promise<OpenedLayer> {
    try {
      const opened = await openLayer(descriptor, this.#keys, this.#settings);
      this.#opened.push(opened);
      return opened;
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      throw new DecoderError(error.code, `layer ${position} of ${nameOf(node)}: ${error.message}`, {
        ...(error.hint && { hint: error.hint }),
        cause: error,
      });
    }
  }

  /** Zeroes all that was opened. */
  close(): void {
    for (const layer of this.#opened) layer.close();
  }
}

/** The layer's options for a job. Its key is zeroed when the layer is closed, so the job must have ended by then. */
export function layerKey({ options: { key, ...options } }: OpenedLayer): LayerKey {
  return { ...options, key: key.bytes };
}

/** New recipients after those that the layer has, or in their place. The layer's data is not touched. */
export function rewrap(
  layer: ChosenLayer,
  opened: OpenedLayer,
  wrapper: LayerWrapper,
  mode: "add" | "replace",
): LayerChange {
  const { annotations: old = {} } = layer.descriptor;
  const kept = mode === "add" ? old : without(old, (name) => name.startsWith(KEYS_PREFIX));
  return {
    ...layer,
    action: "rewrapped",
    async work(workshop): Promise<MadeLayer> {
      const transfer = await workshop.copy(layer.descriptor);
      const added = await wrapper.wrap(opened.privateOptions.bytes, kept);
      return { transfer, descriptor: { ...layer.descriptor, annotations: { ...kept, ...added } } };
    },
  };
}

/** A descriptor's annotations without those of encryption; none at all when no other is left. */
export function withoutEncryption({ annotations = {}, ...descriptor }: Descriptor): Descriptor {
  const others = without(annotations, isEncryptionAnnotation);
  return (
    Object.keys(others).length === 0 ? descriptor : { ...descriptor, annotations: others }
  ) as Descriptor;
}

function without(
  annotations: Readonly<Record<string, string>>,
  isLeftOut: (name: string) => boolean,
): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => !isLeftOut(name)));
}
