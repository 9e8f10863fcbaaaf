import { KEYS_PATH } from "../containerd/stream-processors.ts";
import { describeSystemError } from "../errors.ts";
import {
  type FileChange,
  hashContent,
  hashFile,
  hashInPlace,
  keepAs,
  putInPlace,
  removeFile,
  restore,
  stage,
  stagedPath,
  statOf,
} from "./changes.ts";
import { KEYS_FOLDER_MODE } from "./key-sync.ts";
import type { NodeRoot } from "./node-root.ts";
import {
  BACKUP_SUFFIX,
  EDITED_SUFFIX,
  type InstalledFile,
  type InstallRecord,
  keysFoldersIn,
  makeFolders,
  missingFolders,
  NOTHING_INSTALLED,
  removeFolders,
  removeRecord,
  writeRecord,
} from "./record.ts";

/** Name of a replaced file until the installation has succeeded. */
const ROLLBACK_SUFFIX = ".ctd-decoder-rollback";

interface TransactionOptions {
  readonly changes: readonly FileChange[];
  readonly program: FileChange;
  /** Where keys are copied. */
  readonly keysFolder: string;
  /** Folders to create for root alone. */
  readonly privateFolders: readonly string[];
  /** The service that runs containerd. */
  readonly unit: string;
  /** The record of earlier installations. */
  readonly before: InstallRecord;
}

/**
 * Writes files all or none. The record comes first, then backups, then renames: at whatever step the process is killed,
 * the next installation finishes the work and an uninstallation undoes it.
 */
export class Transaction {
  readonly #node: NodeRoot;
  readonly #options: TransactionOptions;
  readonly #created: readonly string[];
  readonly #replaced: FileChange[] = [];
  /** Backups that this transaction made. */
  readonly #backedUp: string[] = [];
  #record: InstallRecord;

  constructor(node: NodeRoot, options: TransactionOptions) {
    this.#node = node;
    this.#options = options;
    this.#record = options.before;
    const paths = options.changes.map(({ path }) => path);
    this.#created = missingFolders(node, [...paths, ...options.privateFolders.map((it) => `${it}/any`)]);
  }

  /** Records what will change, and creates the folders. @param pendingSince when containerd needs a restart for the change */
  async begin(pendingSince: number | undefined): Promise<void> {
    const { before, changes, program, keysFolder, privateFolders, unit } = this.#options;
    const known = new Map(before.files.map((it) => [it.path, it]));
    const earlier = known.get(program.path);
    // The node may have this version already: someone has upgraded the program by hand.
    if (earlier !== undefined && !changes.includes(program))
      known.set(program.path, { ...earlier, sha256: await hashContent(program.content) });
    for (const { path, kind, content } of changes) {
      const backup = known.has(path) ? known.get(path)?.backup : this.#backupOf(path);
      const sha256 = await hashContent(content);
      known.set(path, { path, kind, sha256, ...(backup !== undefined && { backup }) });
    }
    const otherKeysFolders = keysFoldersIn(before).filter((it) => it !== keysFolder && it !== KEYS_PATH);
    const pending = pendingSince ?? before.pendingSince;
    this.#record = {
      files: [...known.values()],
      folders: [...before.folders, ...this.#created.filter((it) => !before.folders.includes(it))],
      program: program.path,
      keysFolder,
      ...(otherKeysFolders.length > 0 && { otherKeysFolders }),
      unit,
      ...(pending !== undefined && { pendingSince: pending }),
    };
    await writeRecord(this.#node, this.#record);
    makeFolders(this.#node, this.#created, (folder) =>
      privateFolders.includes(folder) ? KEYS_FOLDER_MODE : 0o755,
    );
  }

  async stage(change: FileChange): Promise<void> {
    await stage(this.#node, change);
  }

  /** Puts all staged changes in place. @returns paths of edited files that were kept under another name */
  async commit(): Promise<string[]> {
    const edited: string[] = [];
    for (const { path, kind } of this.#options.changes) {
      if (statOf(this.#node, path) === undefined) continue;
      await keepAs(this.#node, path, path + ROLLBACK_SUFFIX);
      const earlier = this.#options.before.files.find((it) => it.path === path);
      // A killed installation may have recorded a backup without making it.
      if (earlier !== undefined && !(await this.#isForeign(earlier))) continue;
      const backup = this.#record.files.find((it) => it.path === path)?.backup;
      const isOriginal = backup !== undefined && (await this.#backUp(path, backup));
      if ((kind === "drop-in" || kind === "trust") && !isOriginal && !(await this.#isKept(path, backup))) {
        await keepAs(this.#node, path, path + EDITED_SUFFIX);
        edited.push(path + EDITED_SUFFIX);
      }
    }
    for (const change of this.#options.changes) {
      this.#replaced.push(change);
      await putInPlace(this.#node, change);
    }
    return edited;
  }

  /**
   * Restores every file and the record. A step that fails does not stop the others. The record then stays as it is, for an
   * uninstallation.
   * @param more what else to undo
   * @returns why a file could not be restored; undefined if all were
   */
  async rollBack(more?: () => Promise<void>): Promise<string | undefined> {
    const problems: unknown[] = [];
    const trying = async (step: () => void | Promise<void>) => {
      try {
        await step();
      } catch (error) {
        problems.push(error);
      }
    };
    if (more !== undefined) await trying(more);
    for (const { path } of this.#replaced.toReversed()) await trying(() => this.#putBack(path));
    for (const { path } of this.#options.changes)
      await trying(() => removeFile(this.#node, stagedPath(path)));
    if (problems.length === 0) await trying(() => this.#forget());
    return problems.length === 0 ? undefined : problems.map(describeSystemError).join("; ");
  }

  async #putBack(path: string): Promise<void> {
    const kept = path + ROLLBACK_SUFFIX;
    if (statOf(this.#node, kept) === undefined) return removeFile(this.#node, path);
    // What kept the file from being replaced, such as an attribute, would keep it from being restored.
    if (await this.#isKept(path, kept)) return removeFile(this.#node, kept);
    restore(this.#node, kept, path);
  }

  /** Removes what no file of an earlier installation needs, and the record last. */
  async #forget(): Promise<void> {
    for (const { path } of this.#options.changes) removeFile(this.#node, path + ROLLBACK_SUFFIX);
    for (const backup of this.#backedUp) removeFile(this.#node, backup);
    this.#record = this.#options.before;
    if (this.#record === NOTHING_INSTALLED) return removeRecord(this.#node, this.#created);
    removeFolders(this.#node, this.#created);
    await writeRecord(this.#node, this.#record);
  }

  /** Ends a transaction that can no longer be rolled back. @param isPending whether containerd still needs a restart */
  async finish(isPending: boolean): Promise<void> {
    if (!isPending) {
      const { pendingSince: _, ...done } = this.#record;
      this.#record = done;
    }
    await writeRecord(this.#node, this.#record);
    for (const { path } of this.#record.files) {
      removeFile(this.#node, stagedPath(path));
      removeFile(this.#node, path + ROLLBACK_SUFFIX);
    }
  }

  /** A name that is free: of an installation whose record was lost, a backup may remain. */
  #backupOf(path: string): string | undefined {
    if (statOf(this.#node, path) === undefined) return undefined;
    let name = path + BACKUP_SUFFIX;
    for (let i = 2; statOf(this.#node, name) !== undefined; i++) name = `${path}${BACKUP_SUFFIX}.${i}`;
    return name;
  }

  /** A backup that exists already is the original, kept by an installation that was killed. */
  async #backUp(path: string, backup: string): Promise<boolean> {
    if (statOf(this.#node, backup) !== undefined) return false;
    this.#backedUp.push(backup);
    await keepAs(this.#node, path, backup);
    return true;
  }

  /** Whether a file is not as the earlier installation wrote it. */
  async #isForeign(file: InstalledFile): Promise<boolean> {
    return (await hashInPlace(this.#node, file)) !== file.sha256;
  }

  /** Whether a file is the original that its backup keeps. */
  async #isKept(path: string, backup: string | undefined): Promise<boolean> {
    const [file, kept] = [path, backup ?? path].map((it) => statOf(this.#node, it));
    if (backup === undefined || !file?.isFile() || !kept?.isFile()) return false;
    const names = [path, backup].map((it) => hashFile(this.#node.locate(it)));
    return new Set(await Promise.all(names)).size === 1;
  }
}

/** Removes what a killed transaction left behind. */
export function removeLeftovers(node: NodeRoot, { files }: InstallRecord): void {
  for (const { path } of files) {
    removeFile(node, stagedPath(path));
    removeFile(node, path + ROLLBACK_SUFFIX);
  }
}
