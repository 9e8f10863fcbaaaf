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

/** Keys that were not copied: the node has its own of that name, or they are for signing. */
export function* uncopiedKeys(keys: KeySync | undefined, folder: string): Generator<Finding> {
  for (const name of keys?.skipped ?? []) {
    yield {
      severity: "warning",
      message: `the key ${name} is not copied: it is for signing, and a node only decrypts`,
      hint: "keep it off the nodes, and remove it from the folder of --keys",
    };
  }
  for (const name of keys?.kept ?? []) {
    yield {
      severity: "warning",
      message: `${join(folder, name)} is not a copy: it was kept, and the new key of that name was not copied`,
      hint: "rename one of them",
    };
  }
}
