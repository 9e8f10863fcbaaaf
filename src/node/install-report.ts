import { join } from "node:path";
import type { Finding } from "./finding.ts";
import type { KeySync } from "./key-sync.ts";
import type { Restart } from "./restart.ts";

export interface InstallReport {
  readonly files: readonly InstalledPath[];
  readonly keys?: KeySync;
  readonly restart: Restart;
  /** How to restart containerd by hand; undefined if neither systemd nor OpenRC runs the machine. */
  readonly restartCommand: string | undefined;
  readonly findings: readonly Finding[];
  readonly isDryRun: boolean;
}

export interface InstalledPath {
  readonly path: string;
  readonly isChanged: boolean;
  /** What changes in a text, in the form of `diff -u`; only of a dry run. */
  readonly diff?: string;
}

/** Keys of the node's own that were not replaced. */
export function* keptKeys(keys: KeySync | undefined, folder: string): Generator<Finding> {
  for (const name of keys?.kept ?? []) {
    yield {
      severity: "warning",
      message: `${join(folder, name)} is not a copy: it was kept, and the new key of that name was not copied`,
      hint: "rename one of them",
    };
  }
}
