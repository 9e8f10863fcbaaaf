import { dirname } from "node:path";
import { readConfigText } from "../containerd/config.ts";
import { KEYS_PATH } from "../containerd/stream-processors.ts";
import { DecoderError } from "../errors.ts";
import { type FileKind, hashFile, removeFile, restore, statOf, writeWhole } from "./changes.ts";
import { distributionOf, unitOf } from "./distribution.ts";
import { asFailure } from "./failure.ts";
import type { Finding } from "./finding.ts";
import { removeCopies } from "./key-sync.ts";
import { openRoot, runningOn } from "./locate.ts";
import type { NodeRoot } from "./node-root.ts";
import { withoutBlock } from "./plan.ts";
import {
  BACKUP_SUFFIX,
  type InstalledFile,
  type InstallRecord,
  readRecord,
  removeRecord,
  writeRecord,
} from "./record.ts";
import { isStillPending, type Restart } from "./restart.ts";
import { Service } from "./service.ts";
import { removeImport } from "./toml-edit.ts";
import { removeLeftovers } from "./transaction.ts";

interface UninstallOptions {
  readonly root: string;
  readonly keepsKeys: boolean;
  readonly restart: boolean;
  readonly isDryRun: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface UninstallReport {
  readonly files: readonly UninstalledPath[];
  /** Copied keys that were removed. */
  readonly keys: readonly string[];
  readonly restart: Restart;
  readonly restartCommand: string;
  readonly findings: readonly Finding[];
  readonly isDryRun: boolean;
}

interface UninstalledPath {
  readonly path: string;
  readonly action: "restored" | "removed" | "edited" | "kept";
}

/**
 * Restores every file that an installation replaced, and removes what it added. A file that was edited since keeps the
 * edits; only the installation's part leaves it.
 * @throws DecoderError UNHEALTHY, IO
 */
export async function uninstall(options: UninstallOptions): Promise<UninstallReport> {
  try {
    return await undoAll(openRoot(options.root), options);
  } catch (error) {
    throw asFailure(error);
  }
}

async function undoAll(node: NodeRoot, options: UninstallOptions): Promise<UninstallReport> {
  const record = readRecord(node);
  const running = runningOn(node);
  const config = record.files.find(({ kind }) => kind !== "program");
  const unit = record.unit ?? unitOf(node, distributionOf(node, running?.configFile));
  const service = new Service(node, unit, options.environment);
  if (options.restart) await service.check();

  const [files, findings]: [UninstalledPath[], Finding[]] = [[], []];
  // A restart that the installation never got leaves containerd with the old configuration already.
  const wasUsed = config !== undefined && !isStillPending(record, running);
  removeLeftovers(node, record);
  for (const file of record.files.toReversed()) {
    const action = await undo(node, file, options.isDryRun);
    files.push({ path: file.path, action });
    if (action === "kept") findings.push(keptFile(file));
  }
  const keys = options.isDryRun ? [] : removeCopies(node, record.keysFolder ?? KEYS_PATH, options.keepsKeys);
  const isPending = wasUsed || (config === undefined && isStillPending(record, running));
  const report = {
    files,
    keys,
    restartCommand: service.restartCommand,
    findings,
    isDryRun: options.isDryRun,
  };
  if (options.isDryRun) return { ...report, restart: isPending ? "pending" : "not needed" };
  const restart = await restartAfter(service, isPending, options.restart);
  await forget(node, record, restart);
  if (restart === "pending" && options.restart) throw notRestarted(service);
  return { ...report, restart };
}

async function restartAfter(service: Service, isPending: boolean, isWanted: boolean): Promise<Restart> {
  if (!isPending) return "not needed";
  if (!isWanted) return "pending";
  const problem = await service.restart();
  return problem === undefined ? "done" : "pending";
}

/** Remembers a restart that is due, but only where a service manager can do it. */
async function forget(node: NodeRoot, { folders, unit }: InstallRecord, restart: Restart): Promise<void> {
  const isLive = node.exists("/run/systemd/system") || node.exists("/sbin/openrc-run");
  if (restart === "pending" && isLive) {
    await writeRecord(node, {
      files: [],
      folders,
      ...(unit !== undefined && { unit }),
      pendingSince: Date.now(),
    });
    return;
  }
  removeRecord(node, folders);
}

async function undo(
  node: NodeRoot,
  file: InstalledFile,
  isDryRun: boolean,
): Promise<UninstalledPath["action"]> {
  const { path, sha256, backup } = file;
  const hasBackup = backup !== undefined && statOf(node, backup) !== undefined;
  const stat = statOf(node, path);
  const isOurs = stat?.isFile() === true && (await hashFile(node.locate(path))) === sha256;
  if (isOurs || (stat === undefined && hasBackup)) {
    if (!isDryRun && hasBackup && backup !== undefined) restore(node, backup, path);
    else if (!isDryRun) removeFile(node, path);
    return hasBackup ? "restored" : "removed";
  }
  // The installation was killed before it replaced the file.
  if (stat === undefined || isSameFile(node, path, backup)) {
    if (!isDryRun && hasBackup && backup !== undefined) removeFile(node, backup);
    return stat === undefined ? "removed" : "restored";
  }
  return await undoEdited(node, file, isDryRun);
}

function isSameFile(node: NodeRoot, path: string, backup: string | undefined): boolean {
  if (backup === undefined) return false;
  const [one, other] = [statOf(node, path), statOf(node, backup)];
  return other === undefined || (one?.ino === other.ino && one.dev === other.dev);
}

/** A file that was edited after the installation. */
async function undoEdited(
  node: NodeRoot,
  file: InstalledFile,
  isDryRun: boolean,
): Promise<UninstalledPath["action"]> {
  const { path, kind, backup } = file;
  const edit = EDITS.get(kind);
  if (edit === undefined) {
    // A drop-in belongs to the installation alone, and user edits go to another name. Another program there is left alone.
    if (kind === "program") return "kept";
    if (!isDryRun) removeFile(node, path);
    return "removed";
  }
  const edited = edit(readConfigText(path, node), node, path);
  if (edited === undefined) return "kept";
  if (isDryRun) return "edited";
  await writeWhole(node.follow(path), Buffer.from(edited), (statOf(node, path)?.mode ?? 0o644) & 0o7777);
  if (backup !== undefined) removeFile(node, backup);
  return "edited";
}

type Edit = (text: string, node: NodeRoot, path: string) => string | undefined;

const EDITS: ReadonlyMap<FileKind, Edit> = new Map<FileKind, Edit>([
  ["config", (text, _node, path) => removeImport(text, `${dirname(path)}/ctd-decoder.toml`)],
  ["template", (text) => withoutBlock(text)],
]);

function keptFile({ path, kind }: InstalledFile): Finding {
  const hint =
    kind === "program"
      ? `another program replaced it since; the one from before is ${path}${BACKUP_SUFFIX}, if there was one`
      : "remove the import of ctd-decoder.toml by hand";
  return { severity: "warning", message: `${path} changed since the installation, and was kept`, hint };
}

function notRestarted(service: Service): DecoderError {
  return new DecoderError("RESTART_PENDING", "everything was uninstalled, but containerd was not restarted", {
    hint: `run \`${service.restartCommand}\``,
  });
}
