import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { dirname } from "node:path";
import { readConfigText } from "../containerd/config.ts";
import { DecoderError } from "../errors.ts";
import {
  type FileKind,
  hashInPlace,
  keepAs,
  PROGRAM_MODE,
  removeFile,
  restore,
  rewrite,
  statOf,
  writeWhole,
} from "./changes.ts";
import { withoutEntries } from "./gate-plan.ts";
import type { NodeRoot } from "./node-root.ts";
import { withoutBlock } from "./plan-template.ts";
import { EDITED_SUFFIX, type InstalledFile, type InstallRecord } from "./record.ts";
import { containersThrough, renderPassage, runtimeBehind } from "./runtime-entry.ts";
import { removeImport } from "./toml-edit.ts";

/** How to undo one file of an installation. */
export interface UninstallStep {
  /** "emptied": an entry that running containers go on calling only calls its runtime from now on. */
  readonly action: "restored" | "removed" | "edited" | "kept" | "emptied";
  readonly apply?: () => void | Promise<void>;
  /** Parts of the file that a later run has to remove. */
  readonly rest?: InstalledFile;
  /** Path of the copy that keeps an operator's edits. */
  readonly keptAs?: string;
}

/**
 * All steps, before the first one is taken: a configuration that cannot be read must not stop half-way, when the program that
 * it names is gone. Entries go last: the files that name them are undone with what the entries say.
 * @throws DecoderError CONFIG, IO
 */
export async function stepsFor(
  node: NodeRoot,
  { files }: InstallRecord,
): Promise<(readonly [InstalledFile, UninstallStep])[]> {
  const ordered = files.toReversed().sort((a, b) => Number(isEntry(a)) - Number(isEntry(b)));
  const steps: (readonly [InstalledFile, UninstallStep])[] = [];
  for (const file of ordered) {
    try {
      steps.push([file, (isEntry(file) && stepForEntry(node, file)) || (await stepFor(node, file))]);
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      const { code, message, hint = "repair the file, and run this again" } = error;
      throw new DecoderError(code, message, { cause: error, hint });
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
function stepForEntry(node: NodeRoot, file: InstalledFile): UninstallStep | undefined {
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

async function stepFor(node: NodeRoot, file: InstalledFile): Promise<UninstallStep> {
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
function stepForEdited(node: NodeRoot, { path, kind, backup }: InstalledFile): UninstallStep {
  // Another program at this path is left alone, and so is a policy that an operator has changed.
  if (KEPT.has(kind)) return { action: "kept" };
  const isFolder = statOf(node, path)?.isDirectory() === true;
  if (kind === "drop-in" && !isFolder) return stepForDropIn(node, path, backup);
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

/** containerd must stop reading an edited drop-in, because it names a program that is being removed. */
function stepForDropIn(node: NodeRoot, path: string, backup: string | undefined): UninstallStep {
  const keptAs = path + EDITED_SUFFIX;
  return {
    action: backup === undefined ? "removed" : "restored",
    keptAs,
    apply: async () => {
      await keepAs(node, path, keptAs);
      if (backup === undefined) removeFile(node, path);
      else restore(node, backup, path);
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
