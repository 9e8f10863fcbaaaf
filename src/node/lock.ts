import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DecoderError, describeSystemError } from "../errors.ts";
import { FolderLock } from "../io/lock.ts";
import type { NodeRoot } from "./node-root.ts";

/** A node that runs has it, and empties it at each boot. */
const PLACE = "/run";

export function isLockable(node: NodeRoot): boolean {
  return node.isFolder(PLACE);
}

/**
 * Changes a node while no other installation does: each reads the record first, and would write over what the other recorded.
 * @throws DecoderError IO, also when another one takes too long; whatever `change` throws
 */
export async function withLock<T>(node: NodeRoot, change: () => Promise<T>): Promise<T> {
  return await FolderLock.during(node.follow(isLockable(node) ? PLACE : "/"), change);
}

/** Holds the lock of a keys folder. Names that begin with two dots are never read as keys. */
export const KEYS_LOCK = "..ctd-decoder";

/**
 * Changes a keys folder while no other process copies keys into it. A container that mounts only this folder sees the lock.
 * @param folder on this machine
 * @throws DecoderError IO, also when another one takes too long; whatever `change` throws
 */
export async function withKeysLock<T>(folder: string, change: () => Promise<T>): Promise<T> {
  const place = join(folder, KEYS_LOCK);
  try {
    mkdirSync(place, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new DecoderError("IO", `cannot write to ${folder}: ${describeSystemError(cause)}`, { cause });
  }
  return await FolderLock.during(place, change);
}
