import { DecoderError } from "../../errors.ts";
import { printable } from "../../text.ts";
import type { LoadedPolicy } from "../../trust/policy/read-policy.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { renderFindings } from "../findings.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import { POLICY_OPTIONS, trustedRoot } from "../trust-options.ts";
import { count } from "../units.ts";

const POLICY = "/etc/containers/policy.json";

export const TRUST_EXPLAIN: Command = {
  name: "trust explain",
  summary: "show which part of a policy applies to an image",
  operands: [{ name: "NAME", completes: "images" }],
  options: {
    policy: { value: "FILE", help: `the policy (default ${POLICY})` },
    ...POLICY_OPTIONS,
    ...OUTPUT_OPTIONS,
  },
  notes: ["The command does not contact a registry. NAME is docker://NAME, NAME or oci:DIR."],
  examples: [
    {
      command: "ctd-decoder trust explain --policy policy.json registry.example.com/app:1.0",
      does: "shows the scope and its demands",
    },
  ],
  async run(args, ui) {
    const { placeOf } = await import("../../trust/target.ts");
    const { describeRequirement } = await import("../../trust/describe.ts");
    const { policy } = await load(args, args.text("policy") ?? POLICY);
    // The keys may be on the node only, and nothing is checked with them.
    const unread = (path: string) => ({ name: path, path, bytes: new Uint8Array() });
    const { scope, requirement } = policy.requirementFor(placeOf(args.operand(0)), unread);
    const demands = describeRequirement(requirement);
    ui.result(
      { format: policy.format, scope, demands },
      () =>
        `${[`${policy.format}: ${scope}`, ...demands.map((it) => `  ${it}`)].map((it) => printable(it)).join("\n")}\n`,
    );
  },
};

export const TRUST_LINT: Command = {
  name: "trust lint",
  summary: "find mistakes in a policy",
  operands: [{ name: "FILE", completes: "files" }],
  options: { ...POLICY_OPTIONS, ...OUTPUT_OPTIONS },
  notes: ["A policy that can't be read is an error. Files that a rule names are also checked."],
  examples: [
    { command: "ctd-decoder trust lint policy.json", does: "checks a policy as strictly as a node" },
  ],
  async run(args, ui) {
    const path = args.operand(0);
    const loaded = await load(args, path);
    const { lintPolicy, pathsOf } = await import("../../trust/lint.ts");
    const findings = await lintPolicy(loaded, path);
    const errors = findings.filter(({ severity }) => severity === "error");
    const failure =
      errors.length > 0
        ? new DecoderError("UNHEALTHY", `${path} has ${count(errors.length, "error")}`)
        : undefined;
    const { format } = loaded.policy;
    const rules = loaded.policy.rules.map(({ scope, demands, materials }) => ({
      scope,
      demands,
      files: pathsOf(materials),
    }));
    ui.result(
      { format, rules, findings },
      () => `${format}, ${count(rules.length, "rule")}\n${renderFindings(findings, ui.style)}`,
      failure,
    );
  },
};

async function load(args: Arguments, path: string): Promise<LoadedPolicy> {
  const { loadPolicy } = await import("../../trust/policy/read-policy.ts");
  return await loadPolicy(path, {
    trustedRoot: await trustedRoot(args),
    unmatched: args.text("unmatched") === "accept" ? "accept" : "reject",
    scopeIsIdentity: args.text("bundle-identity") === "scope",
  });
}
