import { basename, dirname, join } from "node:path";
import { readContainerdConfig } from "../containerd/config.ts";
import type { RunningContainerd } from "../containerd/process.ts";
import type { ContainerdVersion } from "../containerd/version.ts";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { type FileChange, isInPlace, removeFile, stage, stagedPath } from "./changes.ts";
import { checkConfig } from "./check-config.ts";
import { lineDiff } from "./diff.ts";
import { distributionOf, refuseImmutable, unitOf, warnForgetful } from "./distribution.ts";
import type { Finding } from "./finding.ts";
import { type KeySync, keysFolderOf, makeKeysFolder, syncKeys } from "./key-sync.ts";
import { findVersion, openRoot, programPath, runningOn } from "./locate.ts";
import type { NodeRoot } from "./node-root.ts";
import { type ConfigPlan, planConfig } from "./plan.ts";
import { PlannedFiles } from "./planned-files.ts";
import { checkProgram } from "./program.ts";
import { type InstallRecord, readRecord } from "./record.ts";
import { isStillPending, type Restart, restartOrUndo } from "./restart.ts";
import { Service } from "./service.ts";
import { removeLeftovers, Transaction } from "./transaction.ts";

interface InstallOptions {
  /** Where the node's file system is mounted: "/" for this machine. */
  readonly root: string;
  /** The program to install, on this machine. */
  readonly binary: string;
  /** Where it goes on the node; undefined: /usr/local/bin, or /opt/bin if that is read-only. */
  readonly program?: string;
  /** A folder of private keys of this machine. */
  readonly keys?: string;
  /** containerd's configuration on the node; undefined: found out. */
  readonly configFile?: string;
  /** The containerd that reads it; undefined: found out. */
  readonly version?: ContainerdVersion;
  readonly restart: boolean;
  readonly isDryRun: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface InstallReport {
  readonly files: readonly InstalledPath[];
  readonly keys?: KeySync;
  readonly restart: Restart;
  /** How to restart containerd by hand. */
  readonly restartCommand: string;
  readonly findings: readonly Finding[];
  readonly isDryRun: boolean;
}

interface InstalledPath {
  readonly path: string;
  readonly isChanged: boolean;
  /** What changes in a text, in the form of `diff -u`; only of a dry run. */
  readonly diff?: string;
}

const DIFF_BYTES = 1024 * 1024;

/**
 * Installs the decoder on a node and configures its containerd. Every check comes before the first change; a step that
 * fails, or a containerd that does not come back, undoes all changes.
 * @throws DecoderError UNHEALTHY, CONFIG, NOT_FOUND, IO, RESTART_PENDING
 */
export async function install(options: InstallOptions): Promise<InstallReport> {
  const job = await prepare(options);
  return options.isDryRun ? await describe(job, options) : await carryOut(job, options);
}

/** Everything that is known before the first change. */
interface Job {
  readonly node: NodeRoot;
  readonly before: InstallRecord;
  readonly service: Service;
  readonly plan: ConfigPlan;
  readonly program: FileChange;
  readonly keysFolder: string;
  readonly files: readonly InstalledPath[];
  readonly findings: readonly Finding[];
  /** Whether containerd has to be restarted when all changes are made. */
  readonly needsRestart: boolean;
}

async function prepare(options: InstallOptions): Promise<Job> {
  const node = openRoot(options.root);
  refuseImmutable(node);
  const before = readRecord(node);
  const running = runningOn(node);
  const distribution = distributionOf(node, options.configFile ?? running?.configFile);
  const service = new Service(node, unitOf(node, distribution), options.environment);
  if (options.restart) await service.check();
  const version = options.version ?? (await findVersion(node, distribution, running, options.environment));
  const installed = before.files.find(({ kind }) => kind === "program")?.path;
  const path = options.program ?? installed ?? programPath(node);
  const plan = planConfig(node, { program: path, distribution, version });
  const program: FileChange = { path, kind: "program", content: { copyOf: options.binary } };
  const keysFolder = keysFolderOf(plan.wanted.keysPath, node);
  checkPlan(node, plan, { changes: [...plan.changes, program], keysFolder, version, running });
  return {
    node,
    before,
    service,
    plan,
    program,
    keysFolder,
    files: await describeFiles(node, [program, ...plan.changes]),
    findings: [...warnForgetful(node), ...plan.findings],
    needsRestart: plan.changes.length > 0 || isStillPending(before, running),
  };
}

async function describe(job: Job, options: InstallOptions): Promise<InstallReport> {
  const { node, files, keysFolder, findings, needsRestart, service } = job;
  await tryProgram(node, job.program, options);
  const keys = options.keys === undefined ? undefined : await syncKeys(node, options.keys, keysFolder, true);
  return {
    files,
    ...(keys && { keys }),
    restart: needsRestart ? "pending" : "not needed",
    restartCommand: service.restartCommand,
    findings: [...findings, ...keptKeys(keys, keysFolder)],
    isDryRun: true,
  };
}

async function carryOut(job: Job, options: InstallOptions): Promise<InstallReport> {
  const { node, before, service, plan, program, keysFolder, needsRestart } = job;
  const isChanged = (path: string) => job.files.some((it) => it.path === path && it.isChanged);
  const changes = [...plan.changes, program].filter(({ path }) => isChanged(path));
  const transaction = new Transaction(node, { changes, keysFolder, unit: service.unit, before });
  const findings = [...job.findings];
  let keys: KeySync | undefined;
  removeLeftovers(node, before);
  try {
    await transaction.begin(plan.changes.length > 0 ? Date.now() : undefined);
    for (const change of changes) await transaction.stage(change);
    const tried = isChanged(program.path) ? stagedPath(program.path) : program.path;
    await checkProgram(node, tried, options.environment);
    if (options.keys !== undefined) keys = await syncKeys(node, options.keys, keysFolder, false);
    for (const path of await transaction.commit())
      findings.push({ severity: "note", message: `the edited file was kept as ${path}` });
  } catch (error) {
    await transaction.rollBack();
    throw undone(error);
  }
  const restart = await restartOrUndo(service, transaction, {
    isNeeded: needsRestart,
    isWanted: options.restart,
  });
  return {
    files: job.files,
    ...(keys && { keys }),
    restart,
    restartCommand: service.restartCommand,
    findings: [...findings, ...keptKeys(keys, keysFolder)],
    isDryRun: false,
  };
}

/** Copies keys only. @throws DecoderError IO, LIMIT */
export async function installKeys(
  root: string,
  source: string,
  keysPath: string,
  isDryRun: boolean,
): Promise<KeySync> {
  const node = openRoot(root);
  const folder = keysFolderOf(keysPath, node);
  if (!isDryRun) makeKeysFolder(node, folder);
  return await syncKeys(node, source, folder, isDryRun);
}

interface CheckOptions {
  readonly changes: readonly FileChange[];
  readonly keysFolder: string;
  readonly version: ContainerdVersion;
  readonly running: RunningContainerd | undefined;
}

/** Reads the configuration as containerd will, and runs the checks of `config --check` on it. @throws DecoderError CONFIG */
function checkPlan(
  node: NodeRoot,
  plan: ConfigPlan,
  { changes, keysFolder, version, running }: CheckOptions,
): void {
  const files = new PlannedFiles(node, changes, [keysFolder], running?.searchPath ?? "");
  const config = readContainerdConfig(plan.configFile, files);
  for (const [id, wanted] of plan.wanted.processors) {
    const found = config.processors.get(id);
    if (found?.path === wanted.path) continue;
    throw new DecoderError("CONFIG", `${found?.file} would override ${id}; nothing was changed`, {
      hint: `remove ${id} from ${found?.file}`,
    });
  }
  const error = checkConfig(config, { version, lookup: files }).findings.find(
    ({ severity }) => severity === "error",
  );
  if (error === undefined) return;
  throw new DecoderError("CONFIG", `${error.message}; nothing was changed`, {
    ...(error.hint !== undefined && { hint: error.hint }),
  });
}

async function describeFiles(node: NodeRoot, changes: readonly FileChange[]): Promise<InstalledPath[]> {
  const described: InstalledPath[] = [];
  for (const change of changes) {
    const { path, content } = change;
    const isChanged = !(await isInPlace(node, change));
    const before =
      "text" in content && node.exists(path) ? Buffer.from(node.read(path, DIFF_BYTES)).toString() : "";
    const diff = "text" in content ? lineDiff(path, before, content.text) : undefined;
    described.push({ path, isChanged, ...(isChanged && diff !== undefined && { diff }) });
  }
  return described;
}

/** A dry run has to put the program on the node to run it there, and removes it again. */
async function tryProgram(
  node: NodeRoot,
  copy: FileChange,
  { environment, binary }: InstallOptions,
): Promise<void> {
  if (node.folder === "") return await checkProgram(node, binary, environment);
  const folder = dirname(copy.path);
  const place = node.exists(folder)
    ? folder
    : ["/usr/local/bin", "/usr/bin", "/opt", "/tmp", "/"].find((it) => node.exists(it));
  const trial = { ...copy, path: join(place ?? "/", basename(copy.path)) };
  try {
    await stage(node, trial);
    await checkProgram(node, stagedPath(trial.path), environment);
  } finally {
    removeFile(node, stagedPath(trial.path));
  }
}

function* keptKeys(keys: KeySync | undefined, folder: string): Generator<Finding> {
  for (const name of keys?.kept ?? []) {
    yield {
      severity: "warning",
      message: `${join(folder, name)} is not a copy: it was kept, and the new key of that name was not copied`,
      hint: "rename one of them",
    };
  }
}

/** An error after which everything was undone. */
function undone(error: unknown): unknown {
  const cause = error instanceof DecoderError ? error.cause : error;
  const errno = errnoOf(cause);
  if (errno === undefined) return error;
  const path = cause instanceof Error && "path" in cause ? String(cause.path) : "the node";
  const message =
    error instanceof DecoderError ? error.message : `cannot write ${path}: ${describeSystemError(cause)}`;
  const hint =
    errno === "EROFS"
      ? "if this is the program's place, name one that can be written with --program"
      : errno === "EACCES" || errno === "EPERM"
        ? "run it as root"
        : undefined;
  return new DecoderError("IO", `${message}; nothing was changed`, {
    cause,
    ...(hint !== undefined && { hint }),
  });
}
