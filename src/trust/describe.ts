import type { Requirement } from "./requirement.ts";

/** A requirement in words, one line each, indented by its depth. */
export function describeRequirement(requirement: Requirement, depth = 0): readonly string[] {
  const line = (text: string) => `${"  ".repeat(depth)}${text}`;
  switch (requirement.kind) {
    case "accept":
      return [line("accepted without a signature")];
    case "reject":
      return [line("rejected")];
    case "signed-by":
      return [line(`signed: ${requirement.label}`)];
    case "all-of":
    case "any-of": {
      const head = requirement.kind === "all-of" ? "all of" : "any of";
      return [line(head), ...requirement.of.flatMap((it) => describeRequirement(it, depth + 1))];
    }
  }
}
