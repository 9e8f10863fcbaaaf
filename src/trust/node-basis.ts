import { isAbsolute } from "node:path";
import type { Requirement } from "./requirement.ts";
import { filesOfLeaf, leavesOf } from "./requirement-tree.ts";
import type { TrustSettings } from "./settings.ts";
import type { VerdictBasis } from "./verdicts.ts";

/** What a verdict of a node depends on. */
export function verdictBasis(
  policyBytes: Uint8Array,
  requirement: Requirement,
  { file, policy, scopeIsIdentity, unmatched }: TrustSettings,
): VerdictBasis {
  const named = [...leavesOf(requirement)].flatMap(filesOfLeaf);
  return {
    settings: JSON.stringify({ scopeIsIdentity, unmatched }),
    policyBytes,
    named,
    // What the policy itself holds has the name of a field.
    files: [
      ...(file === undefined ? [] : [file]),
      { name: policy, bytes: policyBytes },
      ...named.filter(({ name }) => isAbsolute(name)),
    ],
  };
}
