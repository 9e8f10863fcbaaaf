import { DecoderError } from "../errors.ts";
import { stagedPath } from "./changes.ts";
import { asFailure, beforeChanges, halfUndone, uncertain, unchanged } from "./failure.ts";
import { type InstallReport, uncopiedKeys } from "./install-report.ts";
import { type InstallOptions, type Job, prepare } from "./job.ts";
import { type KeySync, keysFolderOf, listCopies, makeKeysFolder, removeAdded, syncKeys } from "./key-sync.ts";
import { openRoot } from "./locate.ts";
import { isLockable, withLock } from "./lock.ts";
import { checkProgram } from "./program.ts";
import { recordKeysFolder } from "./record.ts";
import { rehearse } from "./rehearsal.ts";
import { restartOrUndo } from "./restart.ts";
import { removeLeftovers, Transaction } from "./transaction.ts";

/**
 * Installs the decoder on a node and configures its containerd. Every check comes before the first change; a step that
 * fails, or a containerd that does not come back, undoes all changes.
 * @throws DecoderError UNHEALTHY, CONFIG, NOT_FOUND, IO, RESTART_PENDING
 */
export async function install(options: InstallOptions): Promise<InstallReport> {
  try {
    const node = openRoot(options.root);
    const prepared = async () => {
      const job = await prepare(node, options);
      stopIfAsked(options);
      return job;
    };
    if (options.isDryRun) return await beforeChanges(async () => rehearse(await prepared(), options));
    return await withLock(node, async () => await carryOut(await beforeChanges(prepared), options));
  } catch (error) {
    throw asFailure(error);
  }
}

async function carryOut(job: Job, options: InstallOptions): Promise<InstallReport> {
  const { node, before, service, plan, program, keysFolder, needsRestart } = job;
  const isChanged = (path: string) => job.files.some((it) => it.path === path && it.isChanged);
  const changes = job.changes.filter(({ path }) => isChanged(path));
  const { privateFolders } = job;
  const { unit } = service;
  const transaction = new Transaction(node, {
    changes,
    keysFolder,
    privateFolders,
    unit,
    before,
    program,
  });
  const earlierKeys = listCopies(node, keysFolder);
  const rollBack = () => transaction.rollBack(() => removeAdded(node, keysFolder, earlierKeys));
  const shown = (error: unknown) => (options.signal?.aborted ? uncertain(error) : error);
  const findings = [...job.findings];
  let keys: KeySync | undefined;
  removeLeftovers(node, before);
  try {
    await transaction.begin(plan.changes.length > 0 ? Date.now() : undefined);
    for (const change of changes) {
      await transaction.stage(change);
      stopIfAsked(options);
    }
    const tried = isChanged(program.path) ? stagedPath(program.path) : program.path;
    await checkProgram(node, tried, options.environment);
    if (options.keys !== undefined) keys = await syncKeys(node, options.keys, keysFolder, false);
    stopIfAsked(options);
    for (const path of await transaction.commit())
      findings.push({ severity: "note", message: `the edited file was kept as ${path}` });
  } catch (error) {
    const problem = await rollBack();
    throw problem === undefined ? unchanged(error) : shown(halfUndone(asFailure(error), problem));
  }
  const finish = (isPending: boolean) => transaction.finish(isPending);
  const restart = await restartOrUndo(
    service,
    { finish, rollBack },
    { isNeeded: needsRestart, isWanted: options.restart },
  ).catch((error) => {
    throw shown(error);
  });
  return {
    files: job.files,
    ...(keys && { keys }),
    restart,
    restartCommand: service.restartCommand,
    findings: [...findings, ...uncopiedKeys(keys, keysFolder)],
    isDryRun: false,
  };
}

/** @throws DecoderError INTERRUPTED */
function stopIfAsked({ signal }: InstallOptions): void {
  if (signal?.aborted) throw new DecoderError("INTERRUPTED", "interrupted");
}

/** Copies keys only. @throws DecoderError IO, LIMIT */
export async function installKeys(
  root: string,
  source: string,
  keysPath: string,
  isDryRun: boolean,
): Promise<KeySync> {
  try {
    const node = openRoot(root);
    const folder = keysFolderOf(keysPath, node);
    if (isDryRun) return await syncKeys(node, source, folder, true);
    const copy = async () => {
      makeKeysFolder(node, folder);
      return await syncKeys(node, source, folder, false);
    };
    // A container that mounts only the keys folder sees neither the lock nor the record.
    if (!isLockable(node)) return await copy();
    return await withLock(node, async () => {
      await recordKeysFolder(node, folder);
      return await copy();
    });
  } catch (error) {
    throw asFailure(error);
  }
}
