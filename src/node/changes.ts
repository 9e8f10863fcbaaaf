import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
} from "node:fs";
import { copyFile, open } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { readPieces } from "../io/file.ts";
import { moveDurably, writeDurably } from "../io/staging.ts";
import { groupId, userId } from "../process/user.ts";
import type { NodeRoot } from "./node-root.ts";

export const FILE_KINDS = ["program", "drop-in", "config", "template", "entry", "trust", "link"] as const;
export type FileKind = (typeof FILE_KINDS)[number];

/** Kinds that containerd reads at its start. */
export const CONFIG_KINDS: ReadonlySet<FileKind> = new Set<FileKind>(["drop-in", "config", "template"]);

/** A file that an installation writes. */
export interface FileChange {
  /** Path on the node. */
  readonly path: string;
  readonly kind: FileKind;
  readonly content: Content;
}

type Content =
  | { readonly text: string }
  /** Path of a file of this machine. */
  | { readonly copyOf: string }
  /** A symbolic link to this path of the node. */
  | { readonly linkTo: string };

/** Kinds that are executed. */
const PROGRAMS: ReadonlySet<FileKind> = new Set(["program", "entry"]);
/** Kinds whose owner becomes root. The owner of a policy decides which images run. */
const OWN: ReadonlySet<FileKind> = new Set([...PROGRAMS, "trust"]);
export const PROGRAM_MODE = 0o755;
const TEXT_MODE = 0o644;

/** Name of a file while it is written. It must not match the usual import `conf.d/*.toml`. */
export function stagedPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.ctd-decoder-new`);
}

/** Writes a change beside its path, on the disk and with its final mode and owner. @throws DecoderError IO */
export async function stage(node: NodeRoot, change: FileChange): Promise<void> {
  const staged = node.locate(stagedPath(change.path));
  removeFile(node, stagedPath(change.path));
  const { content } = change;
  // containerd runs whatever is in its folder of verifiers: a link appears there under its final name only.
  if ("linkTo" in content) return;
  if ("text" in content) await writeDurably(staged, [Buffer.from(content.text)], { mode: 0o600 });
  else await copyDurably(content.copyOf, staged);
  const before = fileBehind(node, change);
  // A new owner ends the set-user-ID and set-group-ID bits.
  if (before !== undefined) chownSync(staged, before.uid, before.gid);
  chmodSync(staged, modeOf(change, before));
}

/** Moves a staged change to its path. @throws DecoderError IO */
export async function putInPlace(node: NodeRoot, { path, content }: FileChange): Promise<void> {
  if ("linkTo" in content) symlinkSync(content.linkTo, node.locate(stagedPath(path)));
  await moveDurably(node.locate(stagedPath(path)), node.locate(path));
}

/** Whether a file has a change's content and mode already. */
export async function isInPlace(node: NodeRoot, change: FileChange): Promise<boolean> {
  const before = statOf(node, change.path);
  const { content } = change;
  if ("linkTo" in content) return node.linkOf(change.path) === content.linkTo;
  if (before?.isFile() !== true || (before.mode & 0o7777) !== modeOf(change, before)) return false;
  return (await hashFile(node.locate(change.path))) === (await hashContent(change.content));
}

/** SHA-256 in hex. */
export async function hashContent(content: Content): Promise<string> {
  if ("copyOf" in content) return await hashFile(content.copyOf);
  return hashText("linkTo" in content ? content.linkTo : content.text);
}

/** Like hashContent, of a name's own content; undefined if the name is of another type. @throws DecoderError IO */
export async function hashInPlace(
  node: NodeRoot,
  { path, kind }: Pick<FileChange, "path" | "kind">,
): Promise<string | undefined> {
  const stat = statOf(node, path);
  if (kind === "link") return stat?.isSymbolicLink() ? hashText(readlinkSync(node.locate(path))) : undefined;
  return stat?.isFile() ? await hashFile(node.locate(path)) : undefined;
}

function hashText(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** SHA-256 in hex. @throws DecoderError IO */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    readPieces(path, (piece) => hash.update(piece));
  } catch (cause) {
    throw new DecoderError("IO", `cannot read ${path}: ${describeSystemError(cause)}`, { cause });
  }
  return hash.digest("hex");
}

/** Replaces a small file at once. @param path on this machine. @param staged its path until then. @throws DecoderError IO */
export async function writeWhole(
  path: string,
  bytes: Uint8Array,
  mode: number,
  staged = stagedPath(path),
): Promise<void> {
  rmSync(staged, { force: true });
  await writeDurably(staged, [bytes], { mode });
  chmodSync(staged, mode);
  await moveDurably(staged, path);
}

/** Replaces the text of the file that a path leads to. Its mode and owner stay. @throws DecoderError IO */
export async function rewrite(node: NodeRoot, path: string, text: string): Promise<void> {
  const file = node.follow(path);
  const { mode, uid, gid } = statSync(file);
  const staged = stagedPath(file);
  rmSync(staged, { force: true });
  await writeDurably(staged, [Buffer.from(text)], { mode: 0o600 });
  chownSync(staged, uid, gid);
  chmodSync(staged, mode & 0o7777);
  await moveDurably(staged, file);
}

/** Gives a file a second name, with the same content, owner, mode and times. An older file of that name is replaced. */
export async function keepAs(node: NodeRoot, path: string, name: string): Promise<void> {
  const [from, to] = [node.locate(path), node.locate(name)];
  rmSync(to, { force: true });
  try {
    linkSync(from, to);
  } catch (error) {
    // Some file systems have no hard links.
    if (!["EPERM", "ENOTSUP", "EMLINK", "ENOSYS"].includes(errnoOf(error) ?? "")) throw error;
    const stat = lstatSync(from);
    // The copy of a link is a link: its target may be outside of the node's root here, and its own mode is 0777.
    if (stat.isSymbolicLink()) return symlinkSync(readlinkSync(from), to);
    await copyDurably(from, to);
    chownSync(to, stat.uid, stat.gid);
    chmodSync(to, stat.mode & 0o7777);
  }
}

/** Gives a kept file its old name back. */
export function restore(node: NodeRoot, name: string, path: string): void {
  renameSync(node.locate(name), node.locate(path));
}

/** Folders are skipped: an installation creates none here, and one must not stop a roll-back. */
export function removeFile(node: NodeRoot, path: string): void {
  // unlink(2) fails on a read-only file system, even for a file that does not exist.
  if (statOf(node, path)?.isDirectory() === false) rmSync(node.locate(path), { force: true });
}

/** State of the name itself, which may be a symbolic link; undefined if it does not exist. */
export function statOf(node: NodeRoot, path: string): Stats | undefined {
  return lstatSync(node.locate(path), { throwIfNoEntry: false });
}

/**
 * State of the regular file that a change replaces, and whose mode and owner the new one takes; undefined if there is none. A
 * symbolic link's own mode is 0777, and its owner may be another than the file's. A configuration can hold a registry's
 * password, so the file that replaces the link must not be open to more users.
 */
function fileBehind(node: NodeRoot, { path, kind }: FileChange): Stats | undefined {
  if (OWN.has(kind)) return undefined;
  const stat = statSync(node.follow(path), { throwIfNoEntry: false });
  return stat?.isFile() === true ? stat : undefined;
}

function modeOf({ kind }: FileChange, before: Stats | undefined): number {
  if (kind === "trust") return TEXT_MODE;
  if (PROGRAMS.has(kind)) return PROGRAM_MODE;
  return before === undefined ? TEXT_MODE : before.mode & 0o7777;
}

async function copyDurably(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to);
    const handle = await open(to, "r+");
    try {
      // Node.js copies the owner, and Bun does not. The program must belong to root, whoever has downloaded it.
      await handle.chown(userId(), groupId());
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw new DecoderError("IO", `cannot copy ${from} to ${to}: ${describeSystemError(cause)}`, { cause });
  }
}
