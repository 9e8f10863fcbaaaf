import { lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DecoderError, describeSystemError } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import * as LIMITS from "../system-limits.ts";

/** Files that decide what may run: settings, policy, keys. Only root may be able to change them. */

/** The bytes of a file that only root may write. @throws DecoderError CONFIG */
export function readOwned(path: string): Uint8Array {
  checkWriters(path);
  try {
    return readSmallFile(path, LIMITS.configBytes);
  } catch (cause) {
    throw badFile(path, describeSystemError(cause), cause);
  }
}

/** @throws DecoderError CONFIG when anyone other than root may change the file or put another in its place */
export function checkWriters(path: string): void {
  for (const it of [path, ...foldersAbove(path)]) {
    const problem = writersProblem(it);
    if (problem !== undefined) throw badFile(path, problem);
  }
}

/** A user who can rename one of these folders can put another file at the path. */
function* foldersAbove(path: string): Generator<string> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    yield folder;
    if (folder === dirname(folder)) return;
  }
}

const GROUP_OR_OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

function writersProblem(path: string): string | undefined {
  try {
    const link = lstatSync(path);
    const { uid, mode } = statSync(path);
    const isShared = (mode & GROUP_OR_OTHERS_WRITE) !== 0 && (mode & STICKY) === 0;
    if (uid !== 0 || link.uid !== 0) return `${path} does not belong to root`;
    return isShared ? `others than root may write to ${path}` : undefined;
  } catch (cause) {
    return `${path}: ${describeSystemError(cause)}`;
  }
}

export function badFile(path: string, why: string, cause?: unknown): DecoderError {
  return new DecoderError("CONFIG", `can't use ${path}: ${why}`, { cause });
}
