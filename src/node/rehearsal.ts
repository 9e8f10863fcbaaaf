import { basename, dirname, join } from "node:path";
import * as LIMITS from "../system-limits.ts";
import { type FileChange, removeFile, stage, stagedPath } from "./changes.ts";
import { lineDiff } from "./diff.ts";
import { type InstalledPath, type InstallReport, uncopiedKeys } from "./install-report.ts";
import type { InstallOptions, Job } from "./job.ts";
import { syncKeys } from "./key-sync.ts";
import type { NodeRoot } from "./node-root.ts";
import { checkProgram } from "./program.ts";

/** Folders that a node may execute programs from, should the program's own folder not exist yet. */
const TRIAL_FOLDERS = ["/usr/local/bin", "/usr/bin", "/opt", "/tmp", "/"];
/** Keeps the staged file apart from that of an installation at the same time. */
const TRIAL_SUFFIX = ".dry-run";

/** Reports what an installation would do. @throws DecoderError UNHEALTHY, IO, LIMIT */
export async function rehearse(job: Job, options: InstallOptions): Promise<InstallReport> {
  const { node, program, keysFolder, needsRestart } = job;
  await tryProgram(node, program, options);
  const keys = options.keys === undefined ? undefined : await syncKeys(node, options.keys, keysFolder, true);
  return {
    files: job.files.map((file) => withDiff(node, file, job.changes)),
    ...(keys && { keys }),
    restart: needsRestart ? "pending" : "not needed",
    restartCommand: job.service.restartCommand,
    findings: [...job.findings, ...uncopiedKeys(keys, keysFolder)],
    isDryRun: true,
  };
}

function withDiff(node: NodeRoot, file: InstalledPath, changes: readonly FileChange[]): InstalledPath {
  const { path, isChanged } = file;
  const content = changes.find((it) => it.path === path)?.content;
  if (!isChanged || content === undefined || !("text" in content)) return file;
  const before = node.exists(path) ? Buffer.from(node.read(path, LIMITS.diffBytes)).toString() : "";
  return { ...file, diff: lineDiff(path, before, content.text) };
}

/** A dry run has to put the program on the node to run it there, and removes it again. */
async function tryProgram(
  node: NodeRoot,
  copy: FileChange,
  { environment, binary }: InstallOptions,
): Promise<void> {
  if (node.folder === "") return await checkProgram(node, binary, environment);
  const folder = dirname(copy.path);
  const place = [folder, ...TRIAL_FOLDERS].find((it) => node.exists(it)) ?? "/";
  const trial = { ...copy, path: join(place, basename(copy.path) + TRIAL_SUFFIX) };
  try {
    await stage(node, trial);
    await checkProgram(node, stagedPath(trial.path), environment);
  } finally {
    removeFile(node, stagedPath(trial.path));
  }
}
