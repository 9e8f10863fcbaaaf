/** A finding about a policy and its files, in the form of all checks. */
export interface PolicyFinding {
  readonly severity: "error" | "warning" | "note";
  readonly message: string;
  readonly hint?: string;
}
