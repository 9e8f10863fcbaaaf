import { ContainerdMetadata } from "../containerd/store/snapshots.ts";
import { DecoderError } from "../errors.ts";
import { parseName } from "../registry/name.ts";
import { checkOnNode } from "./node-check.ts";
import { loadPolicy } from "./policy/read-policy.ts";
import type { TrustSettings } from "./settings.ts";

/** One image of the node, and what the policy says about it now. */
export interface AuditedImage {
  readonly name: string;
  readonly digest: string;
  readonly accepted: boolean;
  /** Whether the policy could be applied. An image that could not be judged is not accepted. */
  readonly judged: boolean;
  readonly reason: string;
}

type Finding = Omit<AuditedImage, "name" | "digest">;

/** containerd's CRI plugin records each image under its configuration's digest as well, which names no repository. */
const BARE_DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * Checks every image in containerd's store, of all namespaces: what is there already is pulled without a check. An image that
 * can't be judged does not keep the others from being judged.
 * @param store the content store's folder
 * @throws DecoderError CONTENT_STORE; CONFIG and LIMIT for a policy that can't be read
 */
export async function* auditImages(
  store: string,
  settings: TrustSettings,
  environment: Readonly<Record<string, string | undefined>>,
): AsyncGenerator<AuditedImage> {
  // A broken policy is one error, not one for each image.
  await loadPolicy(settings.policy, settings);
  const seen = new Set<string>();
  const images = new ContainerdMetadata(store).images();
  const named = new Set(images.flatMap(({ name, digest }) => (BARE_DIGEST.test(name) ? [] : [digest])));
  for (const { name, digest } of images) {
    const key = `${name} ${digest}`;
    if (seen.has(key)) continue;
    seen.add(key);
    if (BARE_DIGEST.test(name)) {
      // A Pod can run it by its ID, also after its last name has been removed.
      if (!named.has(digest))
        yield { name, digest, ...notJudged("it has no name that the policy could judge") };
    } else yield { name, digest, ...(await auditImage({ name, digest }, settings, environment)) };
  }
}

/**
 * Checks one image by its full name and its digest.
 * @param remembers as in checkOnNode
 */
export async function auditImage(
  { name, digest }: Pick<AuditedImage, "name" | "digest">,
  settings: TrustSettings,
  environment: Readonly<Record<string, string | undefined>>,
  remembers = true,
): Promise<Finding> {
  try {
    const parsed = parseName(name);
    // A scope of one digest would accept another image under its name.
    if (parsed.digest !== undefined && parsed.digest !== digest)
      return { accepted: false, judged: true, reason: `its name has another digest than ${digest}` };
    const image = { name: parsed, digest };
    const { accepted, reason, scope } = await checkOnNode(image, settings, environment, remembers);
    return { accepted, judged: true, reason: `${reason} (${scope})` };
  } catch (error) {
    if (error instanceof DecoderError) return notJudged(error.message);
    throw error;
  }
}

function notJudged(reason: string): Finding {
  return { accepted: false, judged: false, reason };
}
