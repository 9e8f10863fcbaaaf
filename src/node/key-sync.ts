import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { isObject, parseJsonObject } from "../encoding/json.ts";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import * as LIMITS from "../limits.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";
import { holdsCosignKey } from "../trust/sign/cosign-key.ts";
import { writeWhole } from "./changes.ts";
import { KEYS_LOCK, withKeysLock } from "./lock.ts";
import type { NodeRoot } from "./node-root.ts";
import { plainPath } from "./record.ts";

/** What became of the keys. */
export interface KeySync {
  readonly copied: readonly string[];
  readonly removed: readonly string[];
  /** Keys on the node that have the name of a new key, but are not copies: they stay. */
  readonly kept: readonly string[];
  /** Keys for signing, which no node needs: they are not copied. */
  readonly skipped: readonly string[];
}

/** A key on the node that is a copy. */
interface Copy {
  readonly name: string;
  /** SHA-256 of the key file, in hex. */
  readonly sha256: string;
  /** Whether the node had the same key before: uninstalling leaves it. */
  readonly isOlder?: boolean;
}

/** The list of copies. Names with two dots are never read as keys: a Secret's volume has its own. */
const LIST = "..ctd-decoder.json";
/** A key while it is written. If the process is killed, no decoder uses what is left, and the next run removes it. */
const STAGED = "..ctd-decoder-new";
const KEY_MODE = 0o600;
export const KEYS_FOLDER_MODE = 0o700;
/** The link of a Secret's volume to its current version. */
const CURRENT_VERSION = "..data";

/**
 * Makes a node's keys folder hold the keys of another folder, such as a Secret's volume: new and changed keys are copied,
 * copies whose key is gone are removed. Keys that are not copies are never touched.
 * @param source a folder of this machine. @param keysPath the node's keys folder. @param isDryRun only reports
 * @throws DecoderError IO, LIMIT
 */
export async function syncKeys(
  node: NodeRoot,
  source: string,
  keysPath: string,
  isDryRun: boolean,
): Promise<KeySync> {
  const folder = node.follow(keysPath);
  const { report, isInStep } = await step(folder, source, true);
  // `install --watch` looks every few seconds: it must not write to the disk each time.
  if (isDryRun || isInStep) return report;
  return await withKeysLock(folder, async () => (await step(folder, source, false)).report);
}

interface Step {
  readonly report: KeySync;
  /** Whether there is nothing to do. */
  readonly isInStep: boolean;
}

async function step(folder: string, source: string, isDryRun: boolean): Promise<Step> {
  const before = readList(folder);
  if (!isDryRun) rmSync(join(folder, STAGED), { force: true });
  const [copied, removed, kept, skipped]: [string[], string[], string[], string[]] = [[], [], [], []];
  const after: Copy[] = [];
  let isInStep = !existsSync(join(folder, STAGED));
  for (const name of keyNames(source)) {
    const key = readKey(join(currentVersion(source), name));
    if (holdsCosignKey(key)) {
      skipped.push(name);
      continue;
    }
    const sha256 = hash(key);
    const [existing, known] = [hashOf(join(folder, name)), before.find((it) => it.name === name)];
    if (existing === sha256) {
      after.push(known ?? { name, sha256, isOlder: true });
      isInStep &&= (lstatSync(join(folder, name)).mode & 0o7777) === KEY_MODE;
      if (!isDryRun) chmodSync(join(folder, name), KEY_MODE);
    } else if (existing !== undefined && existing !== known?.sha256) {
      kept.push(name);
    } else {
      isInStep = false;
      copied.push(name);
      after.push({ name, sha256 });
      // The list comes first: a killed run may list a key that is missing, but never forgets one.
      if (!isDryRun) await writeList(folder, [...before.filter((it) => it.name !== name), ...after]);
      if (!isDryRun) await writeKeyFile(folder, name, key);
    }
    key.fill(0);
  }
  for (const { name, sha256 } of before) {
    if (after.some((it) => it.name === name) || kept.includes(name)) continue;
    if (hashOf(join(folder, name)) !== sha256) continue;
    removed.push(name);
    if (!isDryRun) rmSync(join(folder, name));
  }
  isInStep &&= JSON.stringify(after) === JSON.stringify(before);
  if (!isDryRun && (before.length > 0 || after.length > 0)) await writeList(folder, after);
  return { report: { copied, removed, kept, skipped }, isInStep };
}

/** Names of the copies that an uninstallation removes: not keys that the node had before, or changed since. */
export function removableCopies(node: NodeRoot, keysPath: string): string[] {
  const folder = node.follow(keysPath);
  return readList(folder)
    .filter(({ name, sha256, isOlder }) => !isOlder && hashOf(join(folder, name)) === sha256)
    .map(({ name }) => name);
}

/** Removes copies, and the list of all. */
export function removeCopies(node: NodeRoot, keysPath: string, names: readonly string[]): void {
  const folder = node.follow(keysPath);
  for (const name of names) rmSync(join(folder, name));
  for (const name of [LIST, STAGED, KEYS_LOCK]) rmSync(join(folder, name), { force: true, recursive: true });
}

/** Removes the copies that an installation added before it failed. @param earlier names of the copies before it */
export async function removeAdded(
  node: NodeRoot,
  keysPath: string,
  earlier: readonly string[],
): Promise<void> {
  const folder = node.follow(keysPath);
  const added = removableCopies(node, keysPath).filter((name) => !earlier.includes(name));
  for (const name of added) rmSync(join(folder, name));
  const left = readList(folder).filter(({ name }) => earlier.includes(name));
  if (left.length > 0) return await writeList(folder, left);
  for (const name of [LIST, KEYS_LOCK]) rmSync(join(folder, name), { force: true, recursive: true });
}

/** Names of all copies. */
export function listCopies(node: NodeRoot, keysPath: string): string[] {
  return readList(node.follow(keysPath)).map(({ name }) => name);
}

/** @throws DecoderError IO: a key or folder that cannot be read is not a missing key, whose copy would be removed */
function keyNames(source: string): string[] {
  const folder = currentVersion(source);
  const names = reading(source, () => readdirSync(folder).sort());
  const keys = names.filter((name) => {
    const path = join(folder, name);
    return !name.startsWith("..") && reading(path, () => statSync(path)).isFile();
  });
  if (keys.length <= LIMITS.keyFiles) return keys;
  throw new DecoderError("LIMIT", `${source} has more than ${LIMITS.keyFiles} keys`);
}

function readKey(path: string): Uint8Array {
  return reading(path, () => readSmallFile(path, LIMITS.keyFileBytes));
}

/** @throws DecoderError IO */
function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new DecoderError("IO", `cannot read the keys in ${path}: ${describeSystemError(cause)}`, { cause });
  }
}

/** The kubelet exchanges `..data` at once: below it, no key is missing in between. */
function currentVersion(source: string): string {
  try {
    return realpathSync(join(source, CURRENT_VERSION));
  } catch {
    return source;
  }
}

function readList(folder: string): readonly Copy[] {
  let bytes: Uint8Array;
  try {
    bytes = readSmallFile(join(folder, LIST), SYSTEM_LIMITS.keyListBytes);
  } catch {
    return [];
  }
  const copies = parseJsonObject(bytes)?.["copies"];
  return Array.isArray(copies) ? copies.filter(isCopy) : [];
}

/** A name with a slash would lead out of the folder. */
function isCopy(value: unknown): value is Copy {
  if (!isObject(value) || typeof value["name"] !== "string" || typeof value["sha256"] !== "string")
    return false;
  return value["name"] !== "" && !value["name"].includes("/") && !value["name"].startsWith("..");
}

async function writeList(folder: string, copies: readonly Copy[]): Promise<void> {
  await writeKeyFile(folder, LIST, Buffer.from(`${JSON.stringify({ copies }, null, 2)}\n`));
}

async function writeKeyFile(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  await writeWhole(join(folder, name), bytes, KEY_MODE, join(folder, STAGED));
}

function hashOf(path: string): string | undefined {
  try {
    if (!lstatSync(path).isFile()) return "";
    const bytes = readSmallFile(path, LIMITS.keyFileBytes);
    const sha256 = hash(bytes);
    bytes.fill(0);
    return sha256;
  } catch (error) {
    return errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR" ? undefined : "";
  }
}

export function makeKeysFolder(node: NodeRoot, folder: string): void {
  mkdirSync(node.follow(folder), { recursive: true, mode: KEYS_FOLDER_MODE });
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The folder of a keys path, which may name one key, in the form that a record has. */
export function keysFolderOf(keysPath: string, node: NodeRoot): string {
  const path = plainPath(keysPath);
  return node.exists(path) && !node.isFolder(path) ? dirname(path) : path;
}
