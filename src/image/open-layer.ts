import { type LayerOptions, parseLayerOptions, parsePublicOptions } from "../cipher/options.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { type OpenedLayer as OpenedPacket, unwrapLayer } from "../keywrap/unwrap.ts";
import type { LayerWrapper } from "../keywrap/wrap.ts";
import { Secret } from "../secret.ts";
import { isEncryptionAnnotation, KEYS_PREFIX } from "../spec/annotations.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { LayerKey } from "./layer-jobs.ts";
import type { LayerChange } from "./rewrite.ts";
import type { ChosenLayer } from "./select.ts";
import { nameOf } from "./tree.ts";

/** A layer whose key was found. */
export interface OpenedLayer {
  readonly options: LayerOptions;
  /** The private options as the encrypting tool wrote them: what is wrapped for another recipient. */
  readonly wrapped: Secret;
  readonly by: Omit<OpenedPacket, "options">;
}

/**
 * @throws DecoderError NO_KEY and the like, naming the layer; BAD_ANNOTATION and BAD_OPTIONS for options that can't be
 * right
 */
export async function openLayer(
  layer: ChosenLayer,
  keys: KeySet,
  settings: SchemeSettings,
): Promise<OpenedLayer> {
  try {
    return await openDescriptor(layer.descriptor, keys, settings);
  } catch (error) {
    if (!(error instanceof DecoderError)) throw error;
    const where = `layer ${layer.position} of ${nameOf(layer.node)}`;
    throw new DecoderError(error.code, `${where}: ${error.message}`, {
      ...(error.hint && { hint: error.hint }),
      cause: error,
    });
  }
}

/** The same, for who tells the layer's name himself. */
export async function openDescriptor(
  { annotations = {} }: Descriptor,
  keys: KeySet,
  settings: SchemeSettings,
): Promise<OpenedLayer> {
  const publicOptions = parsePublicOptions(annotations);
  const { options: wrapped, ...by } = await unwrapLayer(annotations, keys, settings);
  const options = parseLayerOptions(publicOptions, new Secret(wrapped.bytes.slice()));
  return { options, wrapped, by };
}

/** The layer's key for a job, which destroys its copy. */
export function layerKey({ key, ...options }: LayerOptions): LayerKey {
  return { ...options, key: key.bytes.slice() };
}

/** Zeroes what was opened. */
export function closeLayer({ options, wrapped }: OpenedLayer): void {
  options.key.destroy();
  wrapped.destroy();
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
    async work(workshop): Promise<Descriptor> {
      await workshop.copy(layer.descriptor);
      const added = await wrapper.wrap(opened.wrapped.bytes, kept);
      closeLayer(opened);
      return { ...layer.descriptor, annotations: { ...kept, ...added } };
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
