import { existsSync, fstatSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ownCommand } from "./helper.ts";
import { startUnattended } from "./unattended.ts";

/** Name of the helper process. */
export const LINGER = "linger";

const STDOUT = 1;
/** How long standard output remains open after containerd has collected the exit status. */
const LINGER_MS = 200;
/** Longest wait for a containerd that does not collect it. */
const UNCOLLECTED_MS = 5000;
/** Longest wait for a parent that does not exit. */
const LONGEST_WAIT_MS = 60_000;
const POLL_MS = 5;

/**
 * Starts a helper that keeps this process's standard output open until 0.2 s after its exit status was collected. containerd
 * looks for that status when the output ends. Without the helper, both happen at once. containerd then reports an error of its
 * own in 10 % of failing pulls, or accepts what a failed decoder wrote. The helper inherits nothing else, and ends by itself.
 */
export function startLingering(): void {
  const [program, ...args] = ownCommand(LINGER);
  if (isPipe(STDOUT)) startUnattended(program, [...args, String(process.pid)], "inherit");
}

function isPipe(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket();
  } catch {
    return false;
  }
}

/** Runs inside the helper. */
export async function serve(): Promise<void> {
  const parent = process.argv.at(-1);
  for (let waited = 0; parentOfThis() === parent && waited < LONGEST_WAIT_MS; waited += POLL_MS)
    await sleep(POLL_MS);
  // A process is a zombie until its exit status is collected. On a busy node that can take a while.
  for (let waited = 0; existsSync(`/proc/${parent}`) && waited < UNCOLLECTED_MS; waited += POLL_MS)
    await sleep(POLL_MS);
  await sleep(LINGER_MS);
}

/** proc(5): an orphaned process gets a new parent. The runtimes may still report the first one. */
function parentOfThis(): string {
  try {
    const [, parent = ""] = /^PPid:\s*(\d+)$/m.exec(readFileSync("/proc/self/status", "latin1")) ?? [];
    return parent;
  } catch {
    return "";
  }
}
