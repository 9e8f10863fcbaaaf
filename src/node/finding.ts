import { DecoderError } from "../errors.ts";

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

/** @throws DecoderError CONFIG for the first error */
export function refuseErrors(findings: readonly Finding[]): void {
  const error = findings.find(({ severity }) => severity === "error");
  if (error === undefined) return;
  throw new DecoderError("CONFIG", error.message, { ...(error.hint !== undefined && { hint: error.hint }) });
}
