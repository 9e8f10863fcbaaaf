import type { Findings } from "./find/attachments.ts";
import { findAttached, findLocally, type SignaturePlaces, usesAttachments, wantedBy } from "./find/find.ts";
import type { SignedImage } from "./found.ts";
import { judge } from "./judge.ts";
import type { Judgement } from "./judgement.ts";
import type { Requirement } from "./requirement.ts";
import { decidedWithoutSignatures } from "./requirement-tree.ts";

const NOTHING: Findings = { found: [], failures: [] };

/**
 * Whether an image meets a requirement: folders of signatures are looked at first, the registry only when they are not
 * enough, and neither when the policy decides without signatures.
 * @throws DecoderError REGISTRY and the like when the registry can't answer and nothing found is enough; BAD_KEY, LIMIT
 */
export async function verifyImage(
  requirement: Requirement,
  image: SignedImage,
  places: SignaturePlaces,
): Promise<Judgement> {
  const it = { requirement, image, signal: places.signal };
  if (decidedWithoutSignatures(requirement) !== undefined) return await judge(it, NOTHING);
  const wanted = wantedBy(requirement);
  const local = await findLocally(image, wanted, places);
  let findings = local;
  const stores = usesAttachments(image, wanted, places.registries) ? places.stores : [];
  for (const store of stores) {
    const judgement = await judge(it, { found: findings.found, failures: [] });
    if (judgement.accepted) return judgement;
    const attached = await findAttached(image, wanted, store);
    // Signatures prove themselves, whichever mirror has them. The last server, the registry itself, has the last word.
    findings = {
      found: [...findings.found, ...attached.found],
      failures: [...local.failures, ...attached.failures],
    };
  }
  return await judge(it, findings);
}
