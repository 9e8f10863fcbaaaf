import type { Descriptor } from "../../spec/descriptor.ts";
import * as LIMITS from "../../system-limits.ts";
import type { FoundSignature } from "../found.ts";
import type { ArtifactStore } from "./artifact-store.ts";
import {
  type ArtifactManifest,
  type Findings,
  joined,
  parseArtifactManifest,
  reading,
} from "./attachments.ts";
import { type AttachmentReader, attachmentReader, type TagKind } from "./tag-signatures.ts";

/** Sigstore bundles, of any version. */
const BUNDLE_TYPE = /^application\/vnd\.dev\.sigstore\.bundle(?:\.v\d+\.\d+)?\+json(?:;version=\d+\.\d+)?$/;
const NOTARY_TYPE = "application/vnd.cncf.notary.signature";

/**
 * Sigstore bundles that refer to a manifest (OCI distribution-spec 1.1, "Listing Referrers").
 * @param kinds what is looked for
 */
export async function findReferrers(
  store: ArtifactStore,
  digest: string,
  kinds: readonly TagKind[],
): Promise<Findings> {
  let referrers: readonly Descriptor[] = [];
  const head = await reading(`referrers of ${digest}`, async () => {
    referrers = await store.referrers(digest);
    return [];
  });
  const findings: Findings[] = [head];
  const read = attachmentReader(store, kinds);
  // Every referring manifest is read: writers of fallback indexes leave the artifact type out, or write a wrong one.
  for (const referrer of unique(referrers).slice(0, LIMITS.referrers)) {
    const where = `referrer ${referrer.digest}`;
    findings.push(await reading(where, () => readReferrer({ store, read }, referrer, digest)));
  }
  return joined(findings);
}

function unique(descriptors: readonly Descriptor[]): readonly Descriptor[] {
  return [...new Map(descriptors.map((it) => [it.digest, it])).values()];
}

async function readReferrer(
  { store, read }: { readonly store: ArtifactStore; readonly read: AttachmentReader },
  referrer: Descriptor,
  digest: string,
): Promise<readonly FoundSignature[]> {
  const where = `referrer ${referrer.digest}`;
  const stored = await store.manifest(referrer.digest);
  if (stored === undefined) return [{ form: "unreadable", where, problem: "its manifest is missing" }];
  const manifest = parseArtifactManifest(stored.bytes, where);
  const [layer] = manifest.layers;
  if (isNotary(manifest))
    return [
      { form: "unreadable", where, problem: "it is a Notary Project signature, which is not supported" },
    ];
  // SBOMs and the like are not signatures, and nothing is said about them.
  if (layer === undefined || !BUNDLE_TYPE.test(layer.mediaType)) return [];
  if (manifest.subject !== digest) {
    const subject = manifest.subject === undefined ? "missing" : manifest.subject;
    return [
      { form: "unreadable", where, problem: `its subject does not match the image's digest: ${subject}` },
    ];
  }
  return [{ form: "bundle", where, bundle: await read(layer) }];
}

function isNotary({ artifactType, layers }: ArtifactManifest): boolean {
  return artifactType === NOTARY_TYPE || layers.some(({ mediaType }) => mediaType === NOTARY_TYPE);
}
