import type { SignedIdentity } from "../requirement.ts";
import { formatImageName, type ImageName, parseImageName, repositoryOf } from "./image-name.ts";

/**
 * Whether the name in a signature is one that the policy takes for this image (containers-policy.json(5), "signedIdentity").
 * @param signedName `critical.identity.docker-reference` of a payload, or a statement's subject name
 * @param name the requested image
 * @returns undefined when it is, else a clause: `it is for the identity "a/b:1", and the policy demands "a/b:2"`
 */
export function identityProblem(
  rule: SignedIdentity,
  signedName: string,
  name: ImageName | undefined,
): string | undefined {
  if (rule.kind === "none") return undefined;
  const signed = parseImageName(signedName);
  if (signed === undefined) return `its identity ${JSON.stringify(signedName)} is not an image reference`;
  const wanted = wantedName(rule, name);
  if (wanted === undefined)
    return `it is for the identity ${JSON.stringify(signedName)}, and the image has no name for ${rule.kind}`;
  if (matches(rule, signed, wanted)) return undefined;
  return `it is for the identity ${JSON.stringify(signedName)}, and ${rule.kind} demands "${formatImageName(wanted)}"`;
}

function wantedName(rule: SignedIdentity, name: ImageName | undefined): ImageName | undefined {
  switch (rule.kind) {
    case "exactReference":
      return parseImageName(rule.reference);
    case "exactRepository":
      return parseImageName(rule.repository);
    case "remapIdentity":
      return name && remap(name, rule.prefix, rule.signedPrefix);
    default:
      return name;
  }
}

/** A name outside the prefix stays as it is. */
function remap(name: ImageName, prefix: string, signedPrefix: string): ImageName | undefined {
  const repository = repositoryOf(name);
  if (repository !== prefix && !repository.startsWith(`${prefix}/`)) return name;
  const text = formatImageName(name).replace(prefix, () => signedPrefix);
  const remapped = parseImageName(text);
  return remapped !== undefined && formatImageName(remapped) === text ? remapped : undefined;
}

function matches({ kind }: SignedIdentity, signed: ImageName, wanted: ImageName): boolean {
  const isSameRepository = repositoryOf(signed) === repositoryOf(wanted);
  if (kind === "matchRepository" || kind === "exactRepository") return isSameRepository;
  if (isNameOnly(signed) || isNameOnly(wanted)) return false;
  const isByDigest = wanted.tag === undefined;
  // The signed digest itself is compared with the image's for every identity.
  if (isByDigest && (kind === "matchRepoDigestOrExact" || kind === "remapIdentity")) return isSameRepository;
  return formatImageName(signed) === formatImageName(wanted);
}

function isNameOnly({ tag, digest }: ImageName): boolean {
  return tag === undefined && digest === undefined;
}
