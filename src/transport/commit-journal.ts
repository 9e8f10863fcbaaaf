import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { FolderLock } from "../io/lock.ts";
import { exists, writeDurably } from "../io/staging.ts";
import { INDEX_FILE } from "./layout-index.ts";

/** In the staging folder: the names of added blobs, one a line, so that a later run can undo a commit that was killed. */
const JOURNAL_FILE = "journal";
const BLOB_NAME = /^blobs\/[a-z0-9]+\/[0-9a-f]+$/;

/** @param names below the layout's folder: "blobs/sha256/<hex>". @throws DecoderError IO */
export async function writeJournal(staging: string, names: readonly string[]): Promise<void> {
  await writeDurably(join(staging, JOURNAL_FILE), [Buffer.from(names.join("\n"))]);
}

/** Removes the blobs of a run that ended between its first rename and the last, which would have committed it. */
export async function undoCommit(leftover: string, folder: string): Promise<void> {
  const journal = join(leftover, JOURNAL_FILE);
  const wasCommitted = !(await exists(join(leftover, INDEX_FILE)));
  if (wasCommitted || !(await exists(journal))) return;
  const lock = await FolderLock.take(folder, leftover);
  try {
    if (await changedSince(folder, journal)) return;
    const names = (await readFile(journal, "utf8")).split("\n").filter((name) => BLOB_NAME.test(name));
    await removeAll(folder, names);
  } finally {
    await lock.release();
  }
}

/** Whether another run may have committed since: it may count on blobs that it found in place. */
async function changedSince(folder: string, journal: string): Promise<boolean> {
  const index = await stat(join(folder, INDEX_FILE)).catch(() => undefined);
  return index !== undefined && index.mtimeMs >= (await stat(journal)).mtimeMs;
}

/** Removes files of a layout by their names. */
export async function removeAll(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rm(join(folder, name), { force: true });
}
