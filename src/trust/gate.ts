import { resolve } from "node:path";
import { documentsNaming, type StoredDocument } from "../containerd/store/documents.ts";
import { layersIn, type NamedLayer } from "../containerd/store/manifests.ts";
import { goField, parseJsonObject } from "../encoding/json.ts";
import type { GatedLayer } from "./gate-check.ts";
import { VERDICT_FOLDER, Verdicts } from "./verdicts.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Checks that a manifest which the policy accepts, or one of an index that it accepts, names the layer in this way. Another
 * manifest's descriptor must not be used: anybody can write a manifest that names this layer with a key of his own.
 * @param isMeant whether a manifest's descriptor of the layer is the one that is about to be used
 * @param policyFile a policy, or a trust.toml
 * @throws DecoderError UNTRUSTED if no such manifest exists; CONFIG, BAD_KEY
 */
export async function requireTrusted(
  layer: GatedLayer,
  isMeant: (descriptor: NamedLayer) => boolean,
  policyFile: string,
  environment: Environment,
): Promise<void> {
  const file = resolve(policyFile);
  // Usually another layer of the same image has already left a verdict.
  const verdicts = new Verdicts(VERDICT_FOLDER);
  const images: (readonly string[])[] = [];
  for (const manifest of documentsNaming(layer.store, layer.digest)) {
    if (!layersIn(manifest.bytes, layer.digest).some(isMeant)) continue;
    const digests = [manifest.digest];
    images.push(digests);
    if (verdicts.holds(manifest.digest, file)) return;
    for (const index of documentsNaming(layer.store, manifest.digest)) {
      if (!namesManifest(index, manifest.digest)) continue;
      if (verdicts.holds(index.digest, file)) return;
      digests.push(index.digest);
    }
  }
  const { requireAccepted } = await import("./gate-check.ts");
  await requireAccepted(layer, images, file, environment);
}

/** An index's own entries: that a document mentions a digest somewhere else says nothing. */
function namesManifest({ bytes }: StoredDocument, digest: string): boolean {
  const manifests = goField(parseJsonObject(bytes), "manifests");
  return Array.isArray(manifests) && manifests.some((it) => goField(it, "digest") === digest);
}
