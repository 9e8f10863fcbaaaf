import { join } from "node:path";
import { DecoderError } from "../errors.ts";
import { CONFIG_KINDS } from "./changes.ts";
import { distributionOf, unitOf } from "./distribution.ts";
import { asFailure, beforeChanges } from "./failure.ts";
import type { Finding } from "./finding.ts";
import { removableCopies, removeCopies } from "./key-sync.ts";
import { isIdle, openRoot, runningOn } from "./locate.ts";
import { withLock } from "./lock.ts";
import type { NodeRoot } from "./node-root.ts";
import {
  type InstalledFile,
  type InstallRecord,
  keysFoldersIn,
  readRecord,
  removeRecord,
  writeRecord,
} from "./record.ts";
import { isStillPending, type Restart } from "./restart.ts";
import { restartAdvice } from "./restart-advice.ts";
import { Service } from "./service.ts";
import { removeLeftovers } from "./transaction.ts";
import { stepsFor, type UninstallStep } from "./uninstall-steps.ts";

interface UninstallOptions {
  readonly root: string;
  readonly keepsKeys: boolean;
  readonly restart: boolean;
  readonly isDryRun: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface UninstallReport {
  readonly files: readonly UninstalledPath[];
  /** Copied keys that were removed: names in the keys folder, and paths of those in other folders. */
  readonly keys: readonly string[];
  readonly restart: Restart;
  readonly restartCommand: string | undefined;
  readonly findings: readonly Finding[];
  readonly isDryRun: boolean;
}

interface UninstalledPath {
  readonly path: string;
  readonly action: UninstallStep["action"];
}

/**
 * Restores every file that an installation replaced, and removes what it added. A file that was edited since keeps the
 * edits; only the installation's part leaves it.
 * @throws DecoderError UNHEALTHY, CONFIG, IO, RESTART_PENDING
 */
export async function uninstall(options: UninstallOptions): Promise<UninstallReport> {
  try {
    const node = openRoot(options.root);
    if (options.isDryRun) return await undoAll(node, options);
    return await withLock(node, async () => await undoAll(node, options));
  } catch (error) {
    throw asFailure(error);
  }
}

async function undoAll(node: NodeRoot, options: UninstallOptions): Promise<UninstallReport> {
  const { isDryRun } = options;
  const record = readRecord(node);
  const running = runningOn(node);
  const config = record.files.find(({ kind }) => CONFIG_KINDS.has(kind));
  const unit = record.unit ?? unitOf(node, distributionOf(node, running?.configFile));
  const service = new Service(node, unit, options.environment);
  if (options.restart) await beforeChanges(() => service.check());

  // A restart that the installation never got leaves containerd with the old configuration already.
  const wasUsed = config !== undefined && !isStillPending(record, running);
  const isOutdated = wasUsed || (config === undefined && isStillPending(record, running));
  const isPending = isOutdated && (options.restart || !isIdle(node, running));
  const steps = await beforeChanges(() => stepsFor(node, record));
  if (!isDryRun) removeLeftovers(node, record);
  const [files, findings, left]: [UninstalledPath[], Finding[], InstalledFile[]] = [[], [], []];
  for (const [file, { action, apply, rest, keptAs }] of steps) {
    if (!isDryRun) await apply?.();
    files.push({ path: file.path, action });
    if (rest !== undefined) left.push(rest);
    if (keptAs !== undefined) findings.push(keptEdits(keptAs, isDryRun));
    if (action === "kept") findings.push(keptFile(file));
    if (action === "emptied") findings.push(stillCalled(file));
  }
  const keys = removeKeys(node, record, options);
  const report = { files, keys, restartCommand: service.restartCommand, findings, isDryRun };
  if (isDryRun) return { ...report, restart: isPending ? "pending" : "not needed" };
  const restart = await restartAfter(service, isPending, options.restart);
  await forget(node, { ...record, files: left }, restart);
  if (restart === "pending" && options.restart) throw notRestarted(service);
  return { ...report, restart };
}

function removeKeys(
  node: NodeRoot,
  record: InstallRecord,
  { keepsKeys, isDryRun }: UninstallOptions,
): string[] {
  const [usual, ...others] = keysFoldersIn(record);
  return [usual, ...others.filter((it) => node.isFolder(it))].flatMap((folder) => {
    const names = keepsKeys ? [] : removableCopies(node, folder);
    if (!isDryRun) removeCopies(node, folder, names);
    return folder === usual ? names : names.map((name) => join(folder, name));
  });
}

async function restartAfter(service: Service, isPending: boolean, isWanted: boolean): Promise<Restart> {
  if (!isPending) return "not needed";
  if (!isWanted) return "pending";
  const problem = await service.restart();
  return problem === undefined ? "done" : "pending";
}

/** Remembers files that are left, and a restart that is due where a service manager can do it. */
async function forget(
  node: NodeRoot,
  { files, folders, unit }: InstallRecord,
  restart: Restart,
): Promise<void> {
  const isLive = node.exists("/run/systemd/system") || node.exists("/sbin/openrc-run");
  const isPending = restart === "pending" && isLive;
  if (isPending || files.length > 0) {
    await writeRecord(node, {
      files,
      folders,
      ...(unit !== undefined && { unit }),
      ...(isPending && { pendingSince: Date.now() }),
    });
    return;
  }
  removeRecord(node, folders);
}

function stillCalled({ path }: InstalledFile): Finding {
  return {
    severity: "note",
    message: `containers that run now were started through ${path}: it stays for them, without the gate`,
    hint: "run `ctd-decoder uninstall` again when they have ended",
  };
}

function keptEdits(path: string, isDryRun: boolean): Finding {
  return { severity: "note", message: `the edited file ${isDryRun ? "would be" : "was"} kept as ${path}` };
}

function keptFile(file: InstalledFile): Finding {
  const { path } = file;
  const hint = hintFor(file) ?? "remove the import of ctd-decoder.toml by hand";
  return { severity: "warning", message: `${path} changed since the installation, and was kept`, hint };
}

function hintFor({ path, kind, backup }: InstalledFile): string | undefined {
  switch (kind) {
    case "program":
      return backup === undefined
        ? `to remove it: \`rm ${path}\``
        : `to restore the one from before: \`mv ${backup} ${path}\``;
    case "link":
      return "it decides which images are pulled: remove it by hand if nothing else uses it";
    case "trust":
      return "nothing reads it any more: remove it by hand";
    default:
      return undefined;
  }
}

function notRestarted(service: Service): DecoderError {
  return new DecoderError("RESTART_PENDING", "everything was uninstalled, but containerd was not restarted", {
    hint: restartAdvice(service.restartCommand),
  });
}
