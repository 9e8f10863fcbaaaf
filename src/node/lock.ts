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
