import type { SignedImage } from "../found.ts";
import type { Requirement } from "../requirement.ts";
import { leavesOf } from "../requirement-tree.ts";
import type { ArtifactStore } from "./artifact-store.ts";
import { type Findings, joined } from "./attachments.ts";
import { findInLookaside, type RegistriesConfiguration } from "./lookaside.ts";
import { findReferrers } from "./referrers.ts";
import { findByTag, type TagKind } from "./tag-signatures.ts";

/** The places where an image's signatures may be. */
export interface SignaturePlaces {
  /** The layout that has the image, or the servers of its registry: mirrors first. */
  readonly stores: readonly ArtifactStore[];
  /** Folders of signatures (`signature_store`). */
  readonly folders: readonly string[];
  readonly registries: RegistriesConfiguration;
  /** Ends the check. */
  readonly signal?: AbortSignal;
}

/** What kinds of signatures a requirement may be satisfied by. */
interface Wanted {
  readonly attached: boolean;
  readonly kinds: readonly TagKind[];
  readonly gpg: boolean;
}

export function wantedBy(requirement: Requirement): Wanted {
  const leaves = [...leavesOf(requirement)];
  const attached = leaves.filter(({ signer }) => signer.kind !== "gpg");
  const has = (kind: "signature" | "attestation") =>
    attached.some(({ statement }) => statement.kind === kind);
  return {
    attached: attached.length > 0,
    kinds: [...(has("signature") ? ["sig" as const] : []), ...(has("attestation") ? ["att" as const] : [])],
    gpg: attached.length < leaves.length,
  };
}

/** Looks into the folders of signatures, which need no network. */
export async function findLocally(
  image: SignedImage,
  wanted: Wanted,
  places: SignaturePlaces,
): Promise<Findings> {
  const { folders, registries } = places;
  const findings = folders.map(async (folder) => {
    const { findInFolder } = await import("./signature-folder.ts");
    return await findInFolder(folder, image.digest, wanted.kinds);
  });
  if (wanted.gpg && image.name !== undefined)
    findings.push(findInLookaside(registries, image.name, image.digest));
  return joined(await Promise.all(findings));
}

/** Asks one server (or layout) for both forms at once. */
export async function findAttached(
  image: SignedImage,
  wanted: Wanted,
  store: ArtifactStore,
): Promise<Findings> {
  return joined(
    await Promise.all([
      ...wanted.kinds.map((kind) => findByTag(store, image.digest, kind)),
      findReferrers(store, image.digest, wanted.kinds),
    ]),
  );
}

/** Whether attached signatures count at all: registries.d may say that they don't. */
export function usesAttachments(
  image: SignedImage,
  wanted: Wanted,
  registries: RegistriesConfiguration,
): boolean {
  const isOff = image.name !== undefined && registries.useSigstoreAttachments(image.name) === false;
  return wanted.attached && !isOff;
}
