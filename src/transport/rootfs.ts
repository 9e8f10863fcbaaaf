import { lstatSync, readlinkSync } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { DecoderError, describeSystemError } from "../errors.ts";
import { readBlob, wholeFile } from "./blob.ts";
import type { NewTarEntry, TarHeader, TarType } from "./tar.ts";

const PERMISSIONS = 0o7777;

/**
 * The files below a folder as tar entries. They are sorted, with numeric owners and times in whole seconds, so the same files
 * give the same archive. Hard links are kept; sockets are left out.
 * @throws DecoderError NOT_FOUND, IO
 */
export async function* rootfsEntries(folder: string): AsyncGenerator<NewTarEntry> {
  const root = await lstat(folder).catch((error) => {
    throw new DecoderError("NOT_FOUND", `can't read ${folder}: ${describeSystemError(error)}`, {
      cause: error,
    });
  });
  if (!root.isDirectory()) throw new DecoderError("BAD_IMAGE", `${folder} is not a directory`);
  yield* below(folder, "", new Map());
}

async function* below(
  folder: string,
  prefix: string,
  links: Map<string, string>,
): AsyncGenerator<NewTarEntry> {
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    const entry = describe(path, prefix + name, links);
    if (entry === undefined) continue;
    yield entry;
    if (entry.header.type === "directory") yield* below(path, `${prefix}${name}/`, links);
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    // Sorted by bytes, independent of the locale.
    return (await readdir(folder)).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  } catch (error) {
    throw unreadable(folder, error);
  }
}

/**
 * Asks the system synchronously: a thread and a wake-up for each file would take several times as long.
 * @param links "device:inode" → the first name of a file that has several
 */
function describe(path: string, name: string, links: Map<string, string>): NewTarEntry | undefined {
  try {
    const found = lstatSync(path);
    const header = {
      name,
      mode: found.mode & PERMISSIONS,
      uid: found.uid,
      gid: found.gid,
      mtime: Math.floor(found.mtimeMs / 1000),
      size: 0,
    };
    const inode = `${found.dev}:${found.ino}`;
    const first = found.isFile() && found.nlink > 1 ? links.get(inode) : undefined;
    if (first !== undefined) return { header: { ...header, type: "link", linkname: first } };
    if (found.isSymbolicLink())
      return { header: { ...header, type: "symlink", linkname: readlinkSync(path) } };
    if (found.isFile()) {
      links.set(inode, name);
      return {
        header: { ...header, type: "file", size: found.size },
        body: readBlob(wholeFile(path, found.size)),
      };
    }
    const type = specialType(found);
    return type && { header: { ...header, type, ...deviceNumbers(found.rdev) } };
  } catch (error) {
    throw unreadable(path, error);
  }
}

function specialType(found: {
  isDirectory(): boolean;
  isFIFO(): boolean;
  isBlockDevice(): boolean;
  isCharacterDevice(): boolean;
}): TarType | undefined {
  if (found.isDirectory()) return "directory";
  if (found.isFIFO()) return "fifo";
  if (found.isBlockDevice()) return "block-device";
  return found.isCharacterDevice() ? "character-device" : undefined;
}

/** The parts of a device number of up to 32 bits, as in Linux's makedev(3). */
function deviceNumbers(rdev: number): Pick<TarHeader, "devmajor" | "devminor"> {
  return { devmajor: (rdev >>> 8) & 0xfff, devminor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}

function unreadable(path: string, error: unknown): DecoderError {
  if (error instanceof DecoderError) return error;
  return new DecoderError("IO", `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
}
