import { join } from "node:path";
import { type ContainerdConfig, readContainerdConfig } from "../containerd/config.ts";
import type { RunningContainerd } from "../containerd/process.ts";
import { RUNC_TYPE, runtimeHandlers } from "../containerd/runtimes.ts";
import type { ContainerdVersion } from "../containerd/version.ts";
import { DecoderError } from "../errors.ts";
import { SETTINGS_FILE } from "../trust/settings.ts";
import { type FileChange, isInPlace } from "./changes.ts";
import { checkConfig } from "./check-config.ts";
import {
  distributionOf,
  refuseImmutable,
  refuseMicrok8s,
  refuseMissing,
  unitOf,
  warnForgetful,
} from "./distribution.ts";
import { type Finding, refuseErrors } from "./finding.ts";
import type { GatePlan } from "./gate-plan.ts";
import type { InstalledPath } from "./install-report.ts";
import { keysFolderOf } from "./key-sync.ts";
import { findVersion, isIdle, programPath, runningOn } from "./locate.ts";
import type { NodeRoot } from "./node-root.ts";
import { planConfig } from "./plan.ts";
import type { ConfigPlan } from "./plan-file.ts";
import { PlannedFiles } from "./planned-files.ts";
import { type InstallRecord, installedProgram, plainPath, programsIn, readRecord } from "./record.ts";
import { isStillPending } from "./restart.ts";
import { Service } from "./service.ts";
import { settingsFile, type TenantsOptions, wantedTenants } from "./tenants-plan.ts";
import { gateFindings, planTrust } from "./trust-plan.ts";

export interface InstallOptions {
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
  /** For a node of several tenants; undefined: as before. */
  readonly tenants?: TenantsOptions;
  /** A policy of this machine, by which the node shall check signatures; undefined: as before. */
  readonly trust?: string;
  readonly restart: boolean;
  readonly isDryRun: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** After an abort, the installation undoes its changes and stops. If all changes were made, it finishes. */
  readonly signal?: AbortSignal;
}

/** The changes of an installation, computed before the first one is made. */
export interface Job {
  readonly node: NodeRoot;
  readonly before: InstallRecord;
  readonly service: Service;
  readonly plan: ConfigPlan;
  readonly program: FileChange;
  /** All files in the order in which they are put in place. Only those of the plan need a restart of containerd. */
  readonly changes: readonly FileChange[];
  readonly keysFolder: string;
  /** Folders to create for root alone. */
  readonly privateFolders: readonly string[];
  readonly files: readonly InstalledPath[];
  readonly findings: readonly Finding[];
  /** Whether containerd has to be restarted when all changes are made. */
  readonly needsRestart: boolean;
}

/**
 * Finds out what to change on a node, and checks it. Changes nothing.
 * @throws DecoderError UNHEALTHY, CONFIG, NOT_FOUND, IO
 */
export async function prepare(node: NodeRoot, options: InstallOptions): Promise<Job> {
  refuseImmutable(node);
  const before = readRecord(node);
  const running = runningOn(node);
  const named = options.configFile ?? running?.configFile;
  refuseMicrok8s(node, named);
  const distribution = distributionOf(node, named);
  if (options.configFile !== undefined) refuseMissing(node, distribution, options.configFile);
  const service = new Service(node, unitOf(node, distribution), options.environment);
  if (options.restart) await service.check();
  const version = options.version ?? (await findVersion(node, distribution, running, options.environment));
  const path = options.program ?? installedProgram(before) ?? programPath(node);
  if (node.isFolder(path))
    throw new DecoderError("NOT_FOUND", `${path} is a folder, and the program cannot replace it`, {
      hint: `name the program's own path, such as --program ${join(path, "ctd-decoder")}`,
    });
  const searchPath = running?.searchPath ?? "";
  const tenants = wantedTenants(node, before, options.tenants);
  const isTrusted = options.trust !== undefined || before.files.some(({ kind }) => kind === "trust");
  const plan = planConfig(node, {
    program: path,
    earlierPrograms: programsIn(before),
    distribution,
    version,
    ...(tenants && { tenants: { flags: tenants.flags, searchPath } }),
    ...(isTrusted && { trustPolicy: SETTINGS_FILE }),
  });
  const program: FileChange = { path, kind: "program", content: { copyOf: options.binary } };
  const keysFolder = keysFolderOf(plan.wanted.keysPath, node);
  const settings = tenants && settingsFile(node, tenants.settings, plan.root);
  const companions = [...(plan.gate?.entries ?? []), ...(settings ?? [])];
  const privateFolders = [keysFolder, ...(tenants ? [plainPath(tenants.settings.sealedDirectory)] : [])];
  const config = checkPlan(node, plan, {
    changes: [...plan.changes, ...companions, program],
    privateFolders,
    version,
    running,
  });
  const trust = isTrusted
    ? await planTrust(node, { policy: options.trust, program: path, config, version, before })
    : undefined;
  const wanted = [...(trust?.files ?? []), ...plan.changes, ...companions, program, ...(trust?.links ?? [])];
  const changes = wanted.map(withPlainPath);
  const isOutdated = plan.changes.length > 0 || isStillPending(before, running);
  // A restart that was asked for also starts a containerd that does not run.
  const isUnread = isOutdated && !options.restart && isIdle(node, running);
  return {
    node,
    before,
    service,
    plan,
    program,
    changes,
    keysFolder,
    privateFolders,
    files: await comparedWith(node, changes),
    findings: [
      ...warnForgetful(node),
      ...plan.findings,
      ...(tenants?.findings ?? []),
      ...(trust?.findings ?? []),
      ...gateFindings(node, plan.wanted.processors.values(), changes),
      ...(isUnread ? [READ_AT_START] : []),
    ],
    needsRestart: isOutdated && !isUnread,
  };
}

const READ_AT_START: Finding = {
  severity: "note",
  message: "containerd is not running here: it reads the configuration when it starts",
};

/** An operator's file, such as trust.toml, may name /etc//policy.json. */
function withPlainPath(change: FileChange): FileChange {
  const path = plainPath(change.path);
  return path === change.path ? change : { ...change, path };
}

interface CheckOptions {
  readonly changes: readonly FileChange[];
  readonly privateFolders: readonly string[];
  readonly version: ContainerdVersion;
  readonly running: RunningContainerd | undefined;
}

/** The configuration as containerd will read it, with the checks of `config --check`. @throws DecoderError CONFIG */
function checkPlan(
  node: NodeRoot,
  plan: ConfigPlan,
  { changes, privateFolders, version, running }: CheckOptions,
): ContainerdConfig {
  const all = plan.rendered === undefined ? changes : [...changes, plan.rendered];
  const files = new PlannedFiles(node, all, privateFolders, running?.searchPath ?? "");
  const config = readContainerdConfig(plan.configFile, files);
  for (const [id, wanted] of plan.wanted.processors) {
    const found = config.processors.get(id);
    if (found?.path === wanted.path) continue;
    throw found?.file === undefined ? unread(id, plan) : overridden(id, found.file);
  }
  if (plan.gate !== undefined) checkGate(config, version, plan.gate);
  refuseErrors(checkConfig(config, { version, lookup: files }).findings);
  return config;
}

/** @throws DecoderError CONFIG if a handler would start containers without the gate */
function checkGate(config: ContainerdConfig, version: ContainerdVersion, { entries }: GatePlan): void {
  const open = runtimeHandlers(config, version).find(
    ({ type, binary }) => type === RUNC_TYPE && !entries.some(({ path }) => path === binary),
  );
  if (open === undefined) return;
  throw new DecoderError("CONFIG", `a later file would override the runtime ${open.name}`, {
    hint: `remove BinaryName of ${open.name} from the files that containerd imports last`,
  });
}

function overridden(id: string, file: string): DecoderError {
  return new DecoderError("CONFIG", `${file} would override ${id}`, {
    hint: `remove ${id} from ${file}`,
  });
}

/** For example, the end of a template is in a comment. */
function unread(id: string, { configFile }: ConfigPlan): DecoderError {
  return new DecoderError("CONFIG", `${configFile} would not configure ${id}, whatever is added to it`, {
    hint: `look for what hides its end or its imports: \`ctd-decoder config --check ${configFile}\``,
  });
}

async function comparedWith(node: NodeRoot, changes: readonly FileChange[]): Promise<InstalledPath[]> {
  const compared: InstalledPath[] = [];
  for (const change of changes)
    compared.push({ path: change.path, isChanged: !(await isInPlace(node, change)) });
  return compared;
}
