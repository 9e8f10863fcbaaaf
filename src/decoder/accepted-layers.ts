import type { FoundLayer } from "../containerd/payload.ts";
import { meaningOf } from "../containerd/store/manifests.ts";
import { storeOf } from "../containerd/store/place.ts";
import { DecoderError } from "../errors.ts";
import { requireTrusted } from "../trust/gate.ts";

/** How to find a layer's image, and what must accept it. */
interface Acceptance {
  /** A policy, or a trust.toml. */
  readonly policyFile: string;
  /** As --content-store names it; undefined takes the store whose blobs containerd has open. */
  readonly contentStore: string | undefined;
  /** Whether the image's name in the CRI's annotations is believed. */
  readonly trustCriAnnotations: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** As containerd's CRI plugin writes it. */
const IMAGE_REFERENCE = "containerd.io/snapshot/cri.image-ref";

/**
 * `--trust-policy`: the first of the layers that an accepted image names in the same way.
 * @throws DecoderError UNTRUSTED, CONFIG, BAD_KEY, CONTENT_STORE
 */
export async function acceptedLayers(
  groups: Iterable<readonly FoundLayer[]>,
  acceptance: Acceptance,
): Promise<readonly (readonly FoundLayer[])[]> {
  let refusal: unknown;
  for (const group of groups) {
    for (const found of group) {
      try {
        await check(found, acceptance);
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
  { descriptor, blob }: FoundLayer,
  { policyFile, contentStore, trustCriAnnotations, environment }: Acceptance,
): Promise<void> {
  const { digest, annotations } = descriptor;
  if (digest === undefined) throw unnamed();
  const layer = {
    digest,
    store: await storeOf(digest, contentStore),
    // The image's author wrote the annotations of a manifest in the store.
    imageReference: trustCriAnnotations && blob === undefined ? annotations[IMAGE_REFERENCE] : undefined,
  };
  const meaning = meaningOf(descriptor);
  await requireTrusted(layer, (it) => meaningOf(it) === meaning, policyFile, environment);
}

function unnamed(): DecoderError {
  return new DecoderError(
    "BAD_DESCRIPTOR",
    "the layer's descriptor has no digest, so that --trust-policy can't find its image",
  );
}
