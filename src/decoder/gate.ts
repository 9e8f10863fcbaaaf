import type { FoundLayer, LayerDescriptor } from "../containerd/payload.ts";
import { storeOf } from "../containerd/store/lookup.ts";
import { DecoderError } from "../errors.ts";
import { isEncryptionAnnotation } from "../spec/annotations.ts";
import { trustedDescriptors } from "../trust/gate.ts";
import type { DecoderOptions } from "./flags.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** As containerd's CRI plugin writes it. */
const IMAGE_REFERENCE = "containerd.io/snapshot/cri.image-ref";

/**
 * `--trust-policy`: those layers that an accepted manifest names in the same way.
 * @throws DecoderError UNTRUSTED, CONFIG, BAD_KEY, CONTENT_STORE
 */
export async function acceptedLayers(
  groups: Iterable<readonly FoundLayer[]>,
  policyFile: string,
  options: DecoderOptions,
  environment: Environment,
): Promise<readonly (readonly FoundLayer[])[]> {
  const trusted = new Map<string, Promise<ReadonlySet<string>>>();
  for (const group of groups) {
    const kept: FoundLayer[] = [];
    for (const found of group) {
      const { digest, annotations } = found.descriptor;
      if (digest === undefined) throw unnamed();
      if (!trusted.has(digest)) {
        const layer = {
          digest,
          store: storeOf(digest, options.store.contentStore),
          imageReference: options.audit.trustCriAnnotations ? annotations[IMAGE_REFERENCE] : undefined,
        };
        const descriptors = trustedDescriptors(layer, policyFile, environment);
        trusted.set(
          digest,
          descriptors.then((them) => new Set(them.map(meaningOf))),
        );
      }
      if ((await trusted.get(digest))?.has(meaningOf(found.descriptor))) kept.push(found);
    }
    if (kept.length > 0) return [kept];
  }
  throw new DecoderError(
    "UNTRUSTED",
    "the image is trusted, but its manifest has another key for this layer than what was handed over",
  );
}

/** What decides about the plaintext: the media type, the wrapped keys and the public options. */
function meaningOf({ mediaType, annotations }: LayerDescriptor): string {
  const encryption = Object.entries(annotations).filter(([name]) => isEncryptionAnnotation(name));
  return JSON.stringify([mediaType, encryption.sort()]);
}

function unnamed(): DecoderError {
  return new DecoderError(
    "BAD_DESCRIPTOR",
    "the layer's descriptor has no digest, so that --trust-policy can't find its image",
  );
}
