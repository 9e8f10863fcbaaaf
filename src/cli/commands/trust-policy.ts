import { existsSync } from "node:fs";
import { DecoderError } from "../../errors.ts";
import { printable } from "../../text.ts";
import type { Command } from "../command.ts";
import { renderFindings } from "../findings.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import { namedPolicy, POLICY_OPTIONS, SETTINGS } from "../trust-options.ts";
import { count } from "../units.ts";

const POLICY = "/etc/containers/policy.json";

export const TRUST_EXPLAIN: Command = {
  name: "trust explain",
  summary: "show which part of a policy applies to an image",
  operands: [{ name: "NAME", completes: "images" }],
  options: {
    policy: {
      value: "FILE",
      help: `a policy, or a trust.toml (default ${SETTINGS} if it exists, else ${POLICY})`,
    },
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
    const usual = existsSync(SETTINGS) ? SETTINGS : POLICY;
    const { policy, path: file, settings } = await namedPolicy(args, args.text("policy") ?? usual);
    const place = placeOf(args.operand(0));
    const { exceptionFor, exceptionReason } = await import("../../trust/break-glass.ts");
    const exception = settings && exceptionFor(place, settings.breakGlass, Date.now());
    // The keys may be on the node only, and nothing is checked with them.
    const unread = (path: string) => ({ name: path, path, bytes: new Uint8Array() });
    const { scope, requirement } = policy.requirementFor(place, unread);
    const demands = describeRequirement(requirement);
    const accepted = exception && exceptionReason(exception);
    const lines = [
      file,
      ...(accepted === undefined ? [] : [`accepted in any case: ${accepted}`]),
      `${policy.format}: ${scope}`,
      ...demands.map((it) => `  ${it}`),
    ];
    ui.result(
      { policy: file, format: policy.format, scope, demands, ...(accepted && { exception: accepted }) },
      () => `${lines.map((it) => printable(it)).join("\n")}\n`,
    );
  },
};

export const TRUST_LINT: Command = {
  name: "trust lint",
  summary: "find mistakes in a policy",
  operands: [{ name: "FILE", completes: "files" }],
  options: { ...POLICY_OPTIONS, ...OUTPUT_OPTIONS },
  notes: [
    "A policy that can't be read is an error. Files that a rule names are also checked. Of a trust.toml, the policy that it names is checked.",
  ],
  examples: [
    { command: "ctd-decoder trust lint policy.json", does: "checks a policy as strictly as a node" },
  ],
  async run(args, ui) {
    const loaded = await namedPolicy(args, args.operand(0));
    const { path } = loaded;
    const { lintPolicy, pathsOf } = await import("../../trust/lint.ts");
    const findings = await lintPolicy(loaded, path, loaded.settings !== undefined);
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
