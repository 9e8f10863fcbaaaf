/** What the runner and its child process send to each other. */

export interface Request {
  /** In the order in which they run. */
  readonly tests: readonly string[];
  /** Files that changed since the last request. */
  readonly changed: readonly string[];
}

/** Sent whenever a test ends. */
export const PROGRESS = "progress";

export interface Answer {
  readonly isPassed: boolean;
  /** Test file → how long it took, in milliseconds. */
  readonly durations: Readonly<Record<string, number>>;
}
