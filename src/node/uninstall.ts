import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { dirname } from "node:path";
import { readConfigText } from "../containerd/config.ts";
import { KEYS_PATH } from "../containerd/stream-processors.ts";
import { DecoderError } from "../errors.ts";
import {
  CONFIG_KINDS,
  type FileKind,
  hashInPlace,
  PROGRAM_MODE,
  removeFile,
  restore,
  rewrite,
  statOf,
  writeWhole,
} from "./changes.ts";
import { distributionOf, unitOf } from "./distribution.ts";
import { asFailure, UNDONE } from "./failure.ts";
import type { Finding } from "./finding.ts";
import { withoutEntries } from "./gate-plan.ts";
import { removableCopies, removeCopies } from "./key-sync.ts";
import { openRoot, runningOn } from "./locate.ts";
import { withLock } from "./lock.ts";
import type { NodeRoot } from "./node-root.ts";
import { withoutBlock } from "./plan-template.ts";
import { type InstalledFile, type InstallRecord, readRecord, removeRecord, writeRecord } from "./record.ts";
import { isStillPending, type Restart } from "./restart.ts";
import { containersThrough, renderPassage, runtimeBehind } from "./runtime-entry.ts";
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
  /** "emptied": an entry that running containers go on calling only calls its runtime from now on. */
  readonly action: "restored" | "removed" | "edited" | "kept" | "emptied";
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
  if (options.restart) await service.check();

  // A restart that the installation never got leaves containerd with the old configuration already.
  const wasUsed = config !== undefined && !isStillPending(record, running);
  const isPending = wasUsed || (config === undefined && isStillPending(record, running));
  const steps = await stepsFor(node, record);
  if (!isDryRun) removeLeftovers(node, record);
  const [files, findings, left]: [UninstalledPath[], Finding[], InstalledFile[]] = [[], [], []];
  for (const [file, { action, apply, rest }] of steps) {
    if (!isDryRun) await apply?.();
    files.push({ path: file.path, action });
    if (rest !== undefined) left.push(rest);
    if (action === "kept") findings.push(keptFile(file));
    if (action === "emptied") findings.push(stillCalled(file));
  }
  const keysFolder = record.keysFolder ?? KEYS_PATH;
  const keys = options.keepsKeys ? [] : removableCopies(node, keysFolder);
  if (!isDryRun) removeCopies(node, keysFolder, keys);
  const report = { files, keys, restartCommand: service.restartCommand, findings, isDryRun };
  if (isDryRun) return { ...report, restart: isPending ? "pending" : "not needed" };
  const restart = await restartAfter(service, isPending, options.restart);
  await forget(node, { ...record, files: left }, restart);
  if (restart === "pending" && options.restart) throw notRestarted(service);
  return { ...report, restart };
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

/** How to undo one file of an installation. */
interface Step {
  readonly action: UninstalledPath["action"];
  readonly apply?: () => void | Promise<void>;
  /** Parts of the file that a later run has to remove. */
  readonly rest?: InstalledFile;
}

/**
 * All steps, before the first one is taken: a configuration that cannot be read must not stop half-way, when the program that
 * it names is gone. Entries go last: the files that name them are undone with what the entries say.
 * @throws DecoderError CONFIG, IO
 */
async function stepsFor(
  node: NodeRoot,
  { files }: InstallRecord,
): Promise<(readonly [InstalledFile, Step])[]> {
  const ordered = files.toReversed().sort((a, b) => Number(isEntry(a)) - Number(isEntry(b)));
  const steps: (readonly [InstalledFile, Step])[] = [];
  for (const file of ordered) {
    try {
      steps.push([file, (isEntry(file) && stepForEntry(node, file)) || (await stepFor(node, file))]);
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      const { code, message, hint = "repair the file, and run this again" } = error;
      throw new DecoderError(code, message + UNDONE, { cause: error, hint });
    }
  }
  return steps;
}

function isEntry({ kind }: InstalledFile): boolean {
  return kind === "entry";
}

/**
 * Shims call the runtime of their container by its first name until the container ends. So an entry that running containers
 * were started through stays, without its gate.
 * @returns undefined for an entry that no container needs, or that was replaced
 */
function stepForEntry(node: NodeRoot, file: InstalledFile): Step | undefined {
  const { path } = file;
  const runtime = runtimeBehind(node, path);
  if (runtime === undefined || containersThrough(node, path).length === 0) return undefined;
  const text = renderPassage(runtime);
  return {
    action: "emptied",
    apply: () => writeWhole(node.follow(path), Buffer.from(text), PROGRAM_MODE),
    rest: { ...file, sha256: createHash("sha256").update(text).digest("hex") },
  };
}

function stillCalled({ path }: InstalledFile): Finding {
  return {
    severity: "note",
    message: `containers that run now were started through ${path}: it stays for them, without the gate`,
    hint: "run `ctd-decoder uninstall` again when they have ended",
  };
}

async function stepFor(node: NodeRoot, file: InstalledFile): Promise<Step> {
  const { path, sha256 } = file;
  const backup = file.backup !== undefined && isKept(statOf(node, file.backup)) ? file.backup : undefined;
  const stat = statOf(node, path);
  const isOurs = (await hashInPlace(node, file)) === sha256;
  if (backup !== undefined && (isOurs || stat === undefined))
    return { action: "restored", apply: () => restore(node, backup, path) };
  if (stat === undefined) return { action: "removed" };
  // An operator may have removed the backup of a configuration: it then keeps all but the installation's part.
  const isLost = file.backup !== undefined && backup === undefined;
  if (isLost && EDITS.has(file.kind)) {
    const step = stepForEdited(node, file);
    return step.action === "kept" ? { action: "restored" } : step;
  }
  if (isOurs) return { action: "removed", apply: () => removeFile(node, path) };
  if (isLost) return { action: "restored" };
  if (backup !== undefined && isSameFile(stat, statOf(node, backup)))
    return { action: "restored", apply: () => removeFile(node, backup) };
  return stepForEdited(node, file);
}

/** Whether a backup can take its file's place. */
function isKept(backup: Stats | undefined): boolean {
  return backup?.isFile() === true || backup?.isSymbolicLink() === true;
}

/** Whether an installation was killed between making a file's backup and replacing the file. */
function isSameFile(file: Stats, backup: Stats | undefined): boolean {
  return file.ino === backup?.ino && file.dev === backup.dev;
}

/** A file that was edited after the installation. */
function stepForEdited(node: NodeRoot, { path, kind, backup }: InstalledFile): Step {
  // Another program at this path is left alone, and so is a policy that an operator has changed. A drop-in belongs to the
  // installation: users have files of their own.
  if (KEPT.has(kind)) return { action: "kept" };
  const edit = EDITS.get(kind);
  if (edit === undefined) return { action: "removed", apply: () => removeFile(node, path) };
  const edited = edit(readConfigText(path, node), path, node);
  if (edited === undefined) return { action: "kept" };
  return {
    action: "edited",
    apply: async () => {
      await rewrite(node, path, edited);
      if (backup !== undefined) removeFile(node, backup);
    },
  };
}

const KEPT: ReadonlySet<FileKind> = new Set<FileKind>(["program", "entry", "trust", "link"]);

type Edit = (text: string, path: string, node: NodeRoot) => string | undefined;

const EDITS: ReadonlyMap<FileKind, Edit> = new Map<FileKind, Edit>([
  [
    "config",
    (text, path, node) => {
      const bare = withoutEntries(node, text, path);
      return (
        bare &&
        (removeImport(bare, `${dirname(path)}/ctd-decoder.toml`) ?? (bare === text ? undefined : bare))
      );
    },
  ],
  ["template", (text) => withoutBlock(text)],
]);

function keptFile(file: InstalledFile): Finding {
  const { path } = file;
  const hint = hintFor(file) ?? "remove the import of ctd-decoder.toml by hand";
  return { severity: "warning", message: `${path} changed since the installation, and was kept`, hint };
}

function hintFor({ kind, backup }: InstalledFile): string | undefined {
  switch (kind) {
    case "program":
      return `another program replaced it since${backup === undefined ? "" : `; the one from before is ${backup}`}`;
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
    hint: `run \`${service.restartCommand}\``,
  });
}
