import type { Requirement } from "./requirement.ts";
import { filesOfLeaf, leavesOf } from "./requirement-tree.ts";
import type { TrustSettings } from "./settings.ts";
import type { VerdictBasis } from "./verdicts.ts";

/** What a verdict of a node depends on. */
export function verdictBasis(
  policyBytes: Uint8Array,
  requirement: Requirement,
  { file, policy, scopeIsIdentity, unmatched, verdictLifeMs }: TrustSettings,
): VerdictBasis {
  const named = [...leavesOf(requirement)].flatMap(filesOfLeaf);
  return {
    settings: JSON.stringify({ scopeIsIdentity, unmatched, verdictLifeMs }),
    policyBytes,
    named,
    files: [
      ...(file === undefined ? [] : [file]),
      { name: policy, bytes: policyBytes },
      ...named.filter(({ path }) => path !== undefined),
    ],
  };
}
