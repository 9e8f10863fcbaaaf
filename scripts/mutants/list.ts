/** Changes that are worth more than a derived one, and derived ones that no test can notice. */

export interface Change {
  readonly file: string;
  /** Occurs once in the file. */
  readonly from: string;
  readonly to: string;
}

/** Wrong changes that went unnoticed once. */
export const CHANGES: readonly Change[] = [];

export interface AcceptedMutant extends Change {
  /** The line of the file, trimmed. */
  readonly line: string;
  /** Why nothing observable changes. */
  readonly reason: string;
}

export const ACCEPTED: readonly AcceptedMutant[] = [];
