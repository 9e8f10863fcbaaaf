import { readFileSync, readlinkSync } from "node:fs";
import { link, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { processField } from "./process-field.ts";
import { hostName, isAlive, Staging } from "./staging.ts";

const LOCK_FILE = ".ctd-decoder.lock";
const RETRY_MS = 20;

/** The right to change a folder. One process at a time holds it. */
export class FolderLock {
  readonly #path: string;
  readonly #inode: number;

  private constructor(path: string, inode: number) {
    this.#path = path;
    this.#inode = inode;
  }

  /**
   * Waits until no other process holds the lock, then takes it. The lock of a dead process on this host is ignored.
   * @param scratch a folder of this process on the same file system
   * @throws DecoderError IO, also when another process holds the lock too long; INTERRUPTED
   */
  static async take(folder: string, scratch: string, signal?: AbortSignal): Promise<FolderLock> {
    const path = join(folder, LOCK_FILE);
    const own = join(scratch, "lock");
    try {
      // The file needs a new inode, since an old one left here may be a dead process's lock.
      await rm(own, { force: true });
      const owner = [hostName(), process.pid, ...machine(), startOf(process.pid)];
      await writeFile(own, owner.join(" "), { flag: "wx" });
      const { ino } = await stat(own);
      const start = performance.now();
      // link(2) creates the name atomically, with its content, and fails if the name exists.
      while (!(await linked(own, path))) {
        if (signal?.aborted) throw new DecoderError("INTERRUPTED", "interrupted");
        if (await isStale(path)) await removeStale(path, own);
        else if (performance.now() - start > LIMITS.folderLockMs) throw busy(folder, path);
        else await sleep(RETRY_MS);
      }
      return new FolderLock(path, ino);
    } catch (error) {
      if (error instanceof DecoderError) throw error;
      throw new DecoderError("IO", `can't lock ${folder}: ${describeSystemError(error)}`, { cause: error });
    }
  }

  /**
   * Does something while this process holds the lock.
   * @throws DecoderError IO, as `take` does; whatever `action` throws
   */
  static async during<T>(folder: string, action: () => Promise<T>): Promise<T> {
    const staging = await Staging.create(folder);
    try {
      const lock = await FolderLock.take(folder, staging.path);
      try {
        return await action();
      } finally {
        await lock.release();
      }
    } finally {
      await staging.remove();
    }
  }

  /** Call this just before the change becomes visible. @throws DecoderError IO when the lock was removed */
  async check(): Promise<void> {
    const found = await stat(this.#path).catch(() => undefined);
    if (found?.ino === this.#inode) return;
    throw new DecoderError("IO", `${this.#path} was removed while this process was writing`, {
      hint: "run the command again",
    });
  }

  /** Never throws. */
  async release(): Promise<void> {
    const found = await stat(this.#path).catch(() => undefined);
    if (found?.ino === this.#inode) await rm(this.#path).catch(() => undefined);
  }
}

async function linked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * Whether a lock's process is dead. Process IDs compare only within one PID namespace: Pods on a node may share it under
 * different host names, or share the host name under different namespaces. A process that started at another time has the
 * dead one's ID, and would seem to hold the lock for as long as it lives.
 */
async function isStale(path: string): Promise<boolean> {
  const [host, pid, boot, namespace, start = ""] = (await readFile(path, "utf8").catch(() => "")).split(" ");
  const [ownBoot, ownNamespace] = machine();
  const isComparable =
    boot !== undefined && boot === ownBoot ? namespace === ownNamespace : host === hostName();
  if (!isComparable) return false;
  const now = startOf(Number(pid));
  return !isAlive(Number(pid)) || (start !== "" && now !== "" && now !== start);
}

/** When a process started, in clock ticks since the boot (proc_pid_stat(5), field 22); "" without /proc. */
function startOf(pid: number): string {
  return processField(pid, 22) ?? "";
}

/** IDs of the kernel's current boot and of the PID namespace; "" without /proc. */
function machine(): string[] {
  try {
    return [
      readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      readlinkSync("/proc/self/ns/pid"),
    ];
  } catch {
    return [];
  }
}

/**
 * Removes a dead process's lock. Only one process at a time may do so: otherwise one that has read the dead lock could
 * remove the live lock that took its place.
 * @param own a file of this process that names it
 */
async function removeStale(path: string, own: string): Promise<void> {
  const right = `${path}.stale`;
  if (!(await linked(own, right))) {
    if (await isStale(right)) await rm(right, { force: true });
    else await sleep(RETRY_MS);
    return;
  }
  try {
    if (await isStale(path)) await rm(path, { force: true });
  } finally {
    await rm(right, { force: true });
  }
}

function busy(folder: string, path: string): DecoderError {
  return new DecoderError("IO", `another ctd-decoder is still writing to ${folder}`, {
    hint: `run the command again when that one has ended; if no such process exists, remove ${path}`,
  });
}
