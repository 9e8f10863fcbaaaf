import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { type OpenedLayer, openLayer } from "../layer/open.ts";
import { endingAtOnce } from "../process/signals.ts";
import type { LayerKey } from "./layer-jobs.ts";
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

  /** @throws DecoderError what `openLayer` throws, with the layer's name */
  async open({ descriptor, position, node }: ChosenLayer): Promise<OpenedLayer> {
    try {
      const opened = await endingAtOnce(() => openLayer(descriptor, this.#keys, this.#settings));
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

  /** Zeroes the secrets of all opened layers. */
  close(): void {
    for (const layer of this.#opened) layer.close();
  }
}

/** The layer's options for a job. Closing the layer zeroes its key, so the job must end before. */
export function layerKey({ options: { key, ...options } }: OpenedLayer): LayerKey {
  return { ...options, key: key.bytes };
}
