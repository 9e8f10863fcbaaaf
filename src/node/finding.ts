/** Something that a check has to say. Errors break pulls of encrypted images; warnings and notes don't, or not yet. */
export interface Finding {
  readonly severity: "error" | "warning" | "note";
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}

export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every(({ severity }) => severity !== "error");
}
