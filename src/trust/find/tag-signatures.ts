import { DecoderError } from "../../errors.ts";
import type { Descriptor } from "../../spec/descriptor.ts";
import * as LIMITS from "../../system-limits.ts";
import type { FoundSignature, OldMaterial } from "../found.ts";
import type { ArtifactStore } from "./artifact-store.ts";
import {
  type ArtifactManifest,
  type Findings,
  joined,
  parseArtifactManifest,
  reading,
} from "./attachments.ts";

/** cosign's specifications, SIGNATURE_SPEC.md: annotations of a signature's layer. */
export const SIGNATURE = "dev.cosignproject.cosign/signature";
const CERTIFICATE = "dev.sigstore.cosign/certificate";
const CHAIN = "dev.sigstore.cosign/chain";
const REKOR_BUNDLE = "dev.sigstore.cosign/bundle";
const TIMESTAMP = "dev.sigstore.cosign/rfc3161timestamp";

const SIMPLE_SIGNING_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json";
const ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json";

export type TagKind = "sig" | "att";

/** `sha256:<hex>` → `sha256-<hex>.sig`, the tag under which cosign puts what belongs to a manifest. */
export function attachmentTag(digest: string, kind?: TagKind): string {
  return `${digest.replace(":", "-")}${kind === undefined ? "" : `.${kind}`}`;
}

/** Reads what is attached to an image. @throws DecoderError as ArtifactStore.blob */
export type AttachmentReader = (layer: Descriptor) => Promise<Uint8Array>;

/** The size that one attachment may have: an attestation may be larger than a signature. */
export function mostBytes(kinds: readonly TagKind[]): number {
  return kinds.includes("att") ? LIMITS.attestationBytes : LIMITS.signatureBytes;
}

/** @throws DecoderError LIMIT, a clause about the attachment */
export function checkSize(bytes: number, most: number): void {
  if (bytes <= most) return;
  const rule = most === LIMITS.signatureBytes ? "a signature may have at most" : "the most is";
  throw new DecoderError("LIMIT", `it has ${bytes} bytes, and ${rule} ${most}`);
}

/** @param kinds what is looked for: attestations are also limited together */
export function attachmentReader(store: ArtifactStore, kinds: readonly TagKind[]): AttachmentReader {
  const most = mostBytes(kinds);
  let left = kinds.includes("att") ? LIMITS.attestationsBytes : Number.POSITIVE_INFINITY;
  return async (layer) => {
    // What is not read takes nothing of what others may have.
    checkSize(layer.size, most);
    if (layer.size > left)
      throw new DecoderError(
        "LIMIT",
        `the image has more than ${LIMITS.attestationsBytes} bytes of attestations`,
      );
    left -= layer.size;
    return await store.blob(layer, most);
  };
}

/** Signatures (`.sig`) or attestations (`.att`) that cosign 2 and skopeo attach by a tag; each layer is one. */
export async function findByTag(store: ArtifactStore, digest: string, kind: TagKind): Promise<Findings> {
  const tag = attachmentTag(digest, kind);
  let manifest: ArtifactManifest | undefined;
  const head = await reading(tag, async () => {
    const stored = await store.manifest(tag);
    manifest = stored && parseArtifactManifest(stored.bytes, tag);
    return [];
  });
  return joined([head, await readLayers(store, manifest, tag, kind)]);
}

/** The layers of a manifest of signatures or attestations, wherever it was found. */
async function readLayers(
  store: ArtifactStore,
  manifest: ArtifactManifest | undefined,
  name: string,
  kind: TagKind,
): Promise<Findings> {
  const layers = (manifest?.layers ?? []).slice(0, LIMITS.signatures);
  const read = attachmentReader(store, [kind]);
  const findings: Findings[] = [];
  for (const [position, layer] of layers.entries()) {
    const where = `${name} layer ${position}`;
    findings.push(await reading(where, async () => [await readLayer(read, layer, where, kind)]));
  }
  return joined(findings);
}

async function readLayer(
  read: AttachmentReader,
  layer: Descriptor,
  where: string,
  kind: TagKind,
): Promise<FoundSignature> {
  const wanted = kind === "sig" ? SIMPLE_SIGNING_TYPE : ENVELOPE_TYPE;
  if (layer.mediaType !== wanted)
    return { form: "unreadable", where, problem: `its media type is ${JSON.stringify(layer.mediaType)}` };
  const bytes = await read(layer);
  const annotations = layer.annotations ?? {};
  const material = readMaterial(annotations);
  if (kind === "att") return { form: "envelope", where, envelope: bytes, ...material };
  return { form: "simple", where, payload: bytes, signature: annotations[SIGNATURE] ?? "", ...material };
}

/** What cosign 2 writes beside a signature, out of a layer's annotations. */
export function readMaterial(annotations: Readonly<Record<string, string>>): OldMaterial {
  const { [CERTIFICATE]: certificate, [CHAIN]: chain } = annotations;
  const { [REKOR_BUNDLE]: rekorBundle, [TIMESTAMP]: timestamp } = annotations;
  return {
    ...(certificate && { certificate }),
    ...(chain && { chain }),
    ...(rekorBundle && { rekorBundle }),
    ...(timestamp && { timestamp }),
  };
}

/** The annotations that `readMaterial` reads, and the signature. */
export function writeMaterial(material: OldMaterial, signature: string): Readonly<Record<string, string>> {
  const { certificate, chain, rekorBundle, timestamp } = material;
  return {
    [SIGNATURE]: signature,
    ...(certificate !== undefined && { [CERTIFICATE]: certificate }),
    ...(chain !== undefined && { [CHAIN]: chain }),
    ...(rekorBundle !== undefined && { [REKOR_BUNDLE]: rekorBundle }),
    ...(timestamp !== undefined && { [TIMESTAMP]: timestamp }),
  };
}
