import type { Requirement, SignedBy, TrustFile } from "./requirement.ts";

/** Every signature that a requirement mentions. */
export function* leavesOf(requirement: Requirement): Generator<SignedBy> {
  if (requirement.kind === "signed-by") yield requirement;
  if ("of" in requirement) for (const it of requirement.of) yield* leavesOf(it);
}

/** What a requirement comes to when no signature is looked at: undefined where signatures decide. */
export function decidedWithoutSignatures(requirement: Requirement): boolean | undefined {
  switch (requirement.kind) {
    case "accept":
      return true;
    case "reject":
      return false;
    case "signed-by":
      return undefined;
    case "all-of":
      return combined(requirement.of, false);
    case "any-of":
      return combined(requirement.of, true);
  }
}

/** @param dominant decides as soon as one of them comes to it; all must come to the other */
function combined(of: readonly Requirement[], dominant: boolean): boolean | undefined {
  // An empty list satisfies nothing.
  if (of.length === 0) return false;
  const decisions = of.map(decidedWithoutSignatures);
  if (decisions.includes(dominant)) return dominant;
  return decisions.every((it) => it === !dominant) ? !dominant : undefined;
}

/** Every file that a leaf depends on, and the parts of the policy that stand for files. */
export function filesOfLeaf({ signer, trustedRoot, log }: SignedBy): TrustFile[] {
  const files = trustedRoot === undefined ? [...log.keys] : [trustedRoot, ...log.keys];
  switch (signer.kind) {
    case "keys":
      return [...files, ...signer.keys];
    case "gpg":
      return [...files, ...signer.keyrings];
    case "pinned-certificate":
      return [...files, ...signer.certificates, ...(signer.chain ? [signer.chain] : [])];
    case "certificate": {
      const { authority } = signer;
      if (authority.kind === "trusted-root") return files;
      if (authority.kind === "fulcio") return [...files, authority.roots];
      return [...files, authority.roots, ...(authority.intermediates ? [authority.intermediates] : [])];
    }
  }
}
