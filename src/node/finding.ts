/** The result of a check. Errors break pulls of encrypted images; warnings and notes do not, or not yet. */
export interface Finding {
  readonly severity: "error" | "warning" | "note";
  readonly message: string;
  /** The remedy. */
  readonly hint?: string;
}

export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every(({ severity }) => severity !== "error");
}
