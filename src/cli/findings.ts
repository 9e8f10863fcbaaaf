import type { Finding } from "../node/finding.ts";
import { printable } from "../text.ts";
import type { Style } from "./style.ts";

const INDENT = "  ";

/** A line for each finding and one for its remedy, errors first. */
export function renderFindings(findings: readonly Finding[], style: Style): string {
  if (findings.length === 0) return `${INDENT}${style.good("ok")}\n`;
  const order: Finding["severity"][] = ["error", "warning", "note"];
  return order
    .flatMap((severity) => findings.filter((finding) => finding.severity === severity))
    .map(({ severity, message, hint }) => {
      const label = severity === "error" ? style.bad(severity) : style.bold(severity);
      const advice = hint === undefined ? "" : `${INDENT}${INDENT}${style.dim(printable(hint))}\n`;
      return `${INDENT}${label}: ${printable(message)}\n${advice}`;
    })
    .join("");
}
