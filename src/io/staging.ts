import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, mkdir, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { defaultDirectory } from "./spool.ts";

const PREFIX = ".ctd-decoder";
/** The name contains host and process, so that the next run on this host can check whether the owner still runs. */
const NAME = /^\.ctd-decoder-(?<host>[A-Za-z0-9.-]*)-(?<pid>[0-9]+)-[A-Za-z0-9]{6}$/;

/** A folder of unfinished files on the destination's file system. A rename then publishes each file atomically. */
export class Staging {
  readonly path: string;
  #files = 0;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Creates a staging folder in `parent`, and removes those that dead processes left there.
   * @param recover called with each leftover folder before it is removed
   * @throws DecoderError IO
   */
  static async create(
    parent = defaultDirectory(),
    recover?: (leftover: string) => Promise<void>,
  ): Promise<Staging> {
    return await writing(parent, async () => {
      for (const leftover of await leftovers(parent)) {
        await recover?.(leftover);
        await rm(leftover, { recursive: true, force: true });
      }
      return new Staging(await mkdtemp(join(parent, `${PREFIX}-${hostName()}-${process.pid}-`)));
    });
  }

  /** Returns the path of a new file in this folder. */
  newFile(): string {
    this.#files += 1;
    return join(this.path, `part-${this.#files}`);
  }

  /** Removes the folder and what is left in it. Never throws: the next run removes what remains. */
  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Bytes between two flushes to the disk. Early flushes keep the last one short. */
const FLUSH_BYTES = 64 * 1024 * 1024;

interface WritingOptions {
  readonly mode?: number;
  /** Called with each chunk once it is written and its memory can be reused. */
  readonly onWritten?: ((chunk: Uint8Array) => void) | undefined;
}

/**
 * Writes a file that must not exist yet, and returns when its bytes are on the disk. After a failure, the file is removed. The
 * next chunk is fetched while one is written, so each chunk must have memory of its own.
 * @returns the number of bytes written
 * @throws DecoderError IO; whatever `chunks` throws
 */
export async function writeDurably(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { mode = 0o666, onWritten }: WritingOptions = {},
): Promise<number> {
  const handle = await writing(path, () => open(path, "wx", mode));
  const [written, flushed] = [new InTheBackground(), new InTheBackground()];
  let size = 0;
  let unflushed = 0;
  try {
    for await (const chunk of chunks) {
      size += chunk.length;
      unflushed += chunk.length;
      await written.next(async () => {
        await writing(path, () => writeAll(handle, chunk));
        onWritten?.(chunk);
      });
      if (unflushed < FLUSH_BYTES) continue;
      unflushed = 0;
      await flushed.next(() => writing(path, () => handle.datasync()));
    }
    await Promise.all([written.end(), flushed.end()]);
    await writing(path, () => handle.sync());
  } catch (error) {
    await Promise.allSettled([written.end(), flushed.end()]);
    await rm(path, { force: true }).catch(() => undefined);
    throw error;
  } finally {
    await handle.close();
  }
  return size;
}

/** Runs one task at a time while the caller continues. */
class InTheBackground {
  #last: Promise<void> = Promise.resolve();

  /** Starts a task when the last one has finished. @throws what the last one threw */
  async next(work: () => Promise<void>): Promise<void> {
    await this.#last;
    this.#last = work();
    // The next call throws the error. If the caller has failed by then, the error is dropped.
    this.#last.catch(() => undefined);
  }

  /** Waits for the last task. @throws what it threw */
  end(): Promise<void> {
    return this.#last;
  }
}

/** Renames within one file system, and syncs the new name to the disk. @throws DecoderError IO */
export async function moveDurably(from: string, to: string): Promise<void> {
  await writing(to, async () => {
    await rename(from, to);
    await syncFolder(dirname(to));
  });
}

export async function makeFolder(path: string): Promise<void> {
  await writing(path, () => mkdir(path, { recursive: true }));
}

/** What is at a path, even if it is a dangling link. @throws DecoderError IO when it can't be examined */
export async function entryAt(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw new DecoderError("IO", `can't examine ${path}: ${describeSystemError(error)}`, { cause: error });
  }
}

/** Whether a path exists, even as a dangling link. @throws DecoderError IO when it can't be examined */
export async function exists(path: string): Promise<boolean> {
  return (await entryAt(path)) !== undefined;
}

/** Syncs the names in a folder to the disk. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The mode of a new folder under the process's umask. A private temporary folder gets it when it is published. */
export function folderMode(): number {
  return 0o777 & ~process.umask();
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done);
    done += bytesWritten;
  }
}

/** The disk or the user's quota of it is full. */
const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"]);
const FULL_HINT = "free some space there, or use another disk; $TMPDIR names the folder of temporary files";
const MISSING_HINT = "create the folder first (mkdir -p); $TMPDIR names the folder of temporary files";

async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DecoderError) throw error;
    throw new DecoderError("IO", `can't write ${shown(path)}: ${describeSystemError(error)}`, {
      cause: error,
      ...hintFor(errnoOf(error)),
    });
  }
}

function hintFor(errno: string | undefined): { readonly hint?: string } {
  if (errno === "ENOENT") return { hint: MISSING_HINT };
  return FULL.has(errno ?? "") ? { hint: FULL_HINT } : {};
}

/** Cuts a path before the first temporary name, which means nothing to users. */
function shown(path: string): string {
  const parts = path.split("/");
  const staging = parts.findIndex((part) => NAME.test(part));
  if (staging < 0) return path;
  return parts.slice(0, staging).join("/") || (path.startsWith("/") ? "/" : ".");
}

async function leftovers(parent: string): Promise<string[]> {
  const names = await readdir(parent);
  const paths = names.filter((name) => isLeftover(basename(name))).map((name) => join(parent, name));
  const areOwn = await Promise.all(paths.map(isOwnFolder));
  return paths.filter((_path, i) => areOwn[i]);
}

/** In a shared folder such as /tmp, another user's folder may hold anything, such as a FIFO or links. */
async function isOwnFolder(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  return found?.isDirectory() === true && found.uid === (process.getuid?.() ?? found.uid);
}

function isLeftover(name: string): boolean {
  const match = NAME.exec(name)?.groups;
  return match?.["host"] === hostName() && !isAlive(Number(match["pid"]));
}

/** Whether a process is running on this host. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== "ESRCH";
  }
}

/** This host's name, reduced to characters that are safe in a file name. */
export function hostName(): string {
  return hostname().replace(/[^A-Za-z0-9.-]/g, "");
}
