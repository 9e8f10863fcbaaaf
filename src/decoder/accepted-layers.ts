import type { FoundLayer, LayerDescriptor } from "../containerd/payload.ts";
import { storeOf } from "../containerd/store/lookup.ts";
import { DecoderError } from "../errors.ts";
import { isEncryptionAnnotation } from "../spec/annotations.ts";
import { requireTrusted } from "../trust/gate.ts";
import type { DecoderOptions } from "./flags.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** As containerd's CRI plugin writes it. */
const IMAGE_REFERENCE = "containerd.io/snapshot/cri.image-ref";

/**
 * `--trust-policy`: the first of the layers that an accepted image names in the same way.
 * @throws DecoderError UNTRUSTED, CONFIG, BAD_KEY, CONTENT_STORE
 */
export async function acceptedLayers(
  groups: Iterable<readonly FoundLayer[]>,
  policyFile: string,
  options: DecoderOptions,
  environment: Environment,
): Promise<readonly (readonly FoundLayer[])[]> {
  let refusal: unknown;
  for (const group of groups) {
    for (const found of group) {
      try {
        await check(found.descriptor, policyFile, options, environment);
        return [[found]];
      } catch (error) {
        if (!(error instanceof DecoderError) || error.code !== "UNTRUSTED") throw error;
        refusal ??= error;
      }
    }
  }
  throw refusal;
}

async function check(
  descriptor: LayerDescriptor,
  policyFile: string,
  options: DecoderOptions,
  environment: Environment,
): Promise<void> {
  const { digest, annotations } = descriptor;
  if (digest === undefined) throw unnamed();
  const layer = {
    digest,
    store: storeOf(digest, options.store.contentStore),
    imageReference: options.audit.trustCriAnnotations ? annotations[IMAGE_REFERENCE] : undefined,
  };
  const meaning = meaningOf(descriptor);
  await requireTrusted(layer, (it) => meaningOf(it) === meaning, policyFile, environment);
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
