import type { Requirement } from "./requirement.ts";
import type { TrustSettings } from "./settings.ts";
import type { VerdictBasis } from "./verdicts.ts";

/** What a verdict of a node depends on. */
export function verdictBasis(
  policyBytes: Uint8Array,
  requirement: Requirement,
  { scopeIsIdentity, unmatched }: TrustSettings,
): VerdictBasis {
  return { policyBytes, requirement, settings: JSON.stringify({ scopeIsIdentity, unmatched }) };
}
