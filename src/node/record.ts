import { mkdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname, isAbsolute, join, normalize, resolve } from "node:path";
import { KEYS_PATH } from "../containerd/stream-processors.ts";
import { isObject, parseJsonObject } from "../encoding/json.ts";
import { DecoderError, errnoOf } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { FILE_KINDS, type FileKind, stagedPath, writeWhole } from "./changes.ts";
import type { NodeRoot } from "./node-root.ts";

/** What an installation changed, so that it can be finished or undone. */
export interface InstallRecord {
  readonly files: readonly InstalledFile[];
  /** Folders that did not exist before, outermost first. */
  readonly folders: readonly string[];
  /** The program that containerd's configuration names. */
  readonly program?: string;
  /** Where keys are copied. */
  readonly keysFolder?: string;
  /** Other folders that keys were copied to. */
  readonly otherKeysFolders?: readonly string[];
  /** The service that runs containerd. */
  readonly unit?: string;
  /** When containerd's configuration last changed without a restart since, in ms since the epoch. */
  readonly pendingSince?: number;
}

export interface InstalledFile {
  readonly path: string;
  readonly kind: FileKind;
  /** SHA-256 of the installed content, in hex. */
  readonly sha256: string;
  /** Path of the file that was there before; undefined if there was none. */
  readonly backup?: string;
}

const FOLDER = "/var/lib/ctd-decoder";
const FILE = `${FOLDER}/install.json`;
const FORMAT = 1;
/** systemd.unit(5), without the suffix. A name that begins with a hyphen would be an option. */
const UNIT_NAME = /^[A-Za-z0-9_@:.][\w@:.\\-]*$/;
export const NOTHING_INSTALLED: InstallRecord = { files: [], folders: [] };

/** @throws DecoderError CONFIG for a file that is not a record */
export function readRecord(node: NodeRoot): InstallRecord {
  let bytes: Uint8Array;
  try {
    bytes = node.read(FILE, LIMITS.recordBytes);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return NOTHING_INSTALLED;
    throw new DecoderError("CONFIG", `cannot read ${FILE}`, { cause: error });
  }
  const record = parseJsonObject(bytes);
  if (isRecord(record)) return record;
  throw new DecoderError("CONFIG", `${FILE} is not a record of an installation`, {
    hint: `remove it to install again; what it would restore is in files named *${BACKUP_SUFFIX}`,
  });
}

function isRecord(value: unknown): value is InstallRecord {
  if (!isObject(value) || value["format"] !== FORMAT) return false;
  const { files, folders, program, keysFolder, otherKeysFolders, unit, pendingSince } = value;
  return (
    Array.isArray(files) &&
    files.every(isInstalledFile) &&
    Array.isArray(folders) &&
    folders.every(isPath) &&
    (program === undefined || isPath(program)) &&
    (keysFolder === undefined || isPath(keysFolder)) &&
    (otherKeysFolders === undefined || (Array.isArray(otherKeysFolders) && otherKeysFolders.every(isPath))) &&
    (unit === undefined || (typeof unit === "string" && UNIT_NAME.test(unit))) &&
    (pendingSince === undefined || typeof pendingSince === "number")
  );
}

/** The program that containerd calls. A record of an older version names only the files, the latest one last. */
export function installedProgram(record: InstallRecord): string | undefined {
  return record.program ?? programsIn(record).at(-1);
}

/** Paths of all programs that were installed and are recorded. */
export function programsIn({ program, files }: InstallRecord): string[] {
  const paths = files.filter(({ kind }) => kind === "program").map(({ path }) => path);
  return program === undefined || paths.includes(program) ? paths : [...paths, program];
}

/** All folders that may hold copies of keys. The first one belongs to the stream processors. */
export function keysFoldersIn({
  keysFolder = KEYS_PATH,
  otherKeysFolders = [],
}: InstallRecord): readonly [string, ...string[]] {
  const others = new Set([KEYS_PATH, ...otherKeysFolders]);
  others.delete(keysFolder);
  return [keysFolder, ...others];
}

/** Records a folder before keys are copied to it without an installation, so that an uninstallation finds them. */
export async function recordKeysFolder(node: NodeRoot, folder: string): Promise<void> {
  // An uninstallation looks there without a record.
  if (folder === KEYS_PATH) return;
  const record = readRecord(node);
  if (keysFoldersIn(record).includes(folder)) return;
  const created = missingFolders(node, [join(folder, "any")]);
  await writeRecord(node, {
    ...record,
    folders: [...record.folders, ...created.filter((it) => !record.folders.includes(it))],
    otherKeysFolders: [...(record.otherKeysFolders ?? []), folder],
  });
}

function isBackupOf(path: string, name: unknown): boolean {
  const start = path + BACKUP_SUFFIX;
  return typeof name === "string" && name.startsWith(start) && /^(?:\.\d+)?$/.test(name.slice(start.length));
}

/** A backup's name is derived from its file's: a record cannot make an uninstallation move any other file. */
function isInstalledFile(value: unknown): value is InstalledFile {
  if (!isObject(value)) return false;
  const { path, kind, sha256, backup } = value;
  return (
    isPath(path) &&
    FILE_KINDS.includes(kind as FileKind) &&
    typeof sha256 === "string" &&
    (backup === undefined || isBackupOf(path, backup))
  );
}

/**
 * A path on the node in the form that a record has.
 * @throws DecoderError CONFIG for "..", which behind a link leads elsewhere than the text says
 */
export function plainPath(path: string): string {
  if (!path.split("/").includes("..")) return resolve("/", path);
  throw new DecoderError("CONFIG", `the path ${path} contains "..", which may lead elsewhere behind a link`, {
    hint: "write the folder that it leads to",
  });
}

function isPath(value: unknown): value is string {
  return (
    typeof value === "string" && isAbsolute(value) && normalize(value) === value && !value.includes("\0")
  );
}

/** Name of the file that an installed one replaced. It must not match the usual import `conf.d/*.toml`. */
export const BACKUP_SUFFIX = ".before-ctd-decoder";

/** Suffix of the copy that keeps an operator's edits when an installed file is replaced or removed. */
export const EDITED_SUFFIX = ".edited";

/** Writes a record. Its folder is created first: everything else that an installation creates is in the record. */
export async function writeRecord(node: NodeRoot, record: InstallRecord): Promise<void> {
  mkdirSync(node.follow(FOLDER), { recursive: true, mode: 0o755 });
  await writeWhole(
    node.follow(FILE),
    Buffer.from(`${JSON.stringify({ format: FORMAT, ...record }, null, 2)}\n`),
    0o600,
  );
}

/** The folders above a file, and of the record, that do not exist yet, outermost first. */
export function missingFolders(node: NodeRoot, paths: readonly string[]): string[] {
  const missing = new Set<string>();
  for (const path of [FILE, ...paths]) {
    const above: string[] = [];
    for (let folder = dirname(path); !node.exists(folder); folder = dirname(folder)) above.unshift(folder);
    for (const folder of above) missing.add(folder);
  }
  return [...missing];
}

export function makeFolders(
  node: NodeRoot,
  folders: readonly string[],
  modeOf: (folder: string) => number,
): void {
  for (const folder of folders)
    if (!node.exists(folder)) mkdirSync(node.follow(folder), { mode: modeOf(folder) });
}

/** Removes a record, and those of its folders that are empty. The record goes last, but for the folders around it. */
export function removeRecord(node: NodeRoot, folders: readonly string[]): void {
  const isAround = (folder: string) => FILE.startsWith(`${folder}/`);
  removeFolders(
    node,
    folders.filter((folder) => !isAround(folder)),
  );
  rmSync(node.locate(FILE), { force: true });
  rmSync(node.locate(stagedPath(FILE)), { force: true });
  removeFolders(node, [...new Set([...folders.filter(isAround), FOLDER])]);
}

/** Removes folders that are empty, innermost first. */
export function removeFolders(node: NodeRoot, folders: readonly string[]): void {
  for (const folder of folders.toReversed()) {
    try {
      rmdirSync(node.follow(folder));
    } catch {
      // Another program uses it, or it was removed.
    }
  }
}
