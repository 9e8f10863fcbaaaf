import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What /proc shows of a process. */
interface Shown {
  readonly comm?: string;
  readonly args: readonly string[];
  readonly env?: readonly string[];
  /** The mount namespace. */
  readonly mnt?: string;
  /** After the boot, in hundredths of a second. */
  readonly started?: number;
}

/** A folder like /proc, with processes by their ID. @param folder where to make it */
export function procFolder(folder: string, processes: Readonly<Record<string, Shown>>): string {
  const root = mkdtempSync(join(folder, "proc-"));
  writeFileSync(join(root, "uptime"), "5000.25 9000.00\n");
  const all: Readonly<Record<string, Shown>> = { ...processes, self: { comm: "me", args: [] } };
  for (const [pid, { comm = "containerd", args, env = [], mnt = "mnt:[1]", started }] of Object.entries(
    all,
  )) {
    mkdirSync(join(root, pid, "ns"), { recursive: true });
    writeFileSync(join(root, pid, "comm"), `${comm}\n`);
    writeFileSync(join(root, pid, "cmdline"), ["containerd", ...args].map((it) => `${it}\0`).join(""));
    writeFileSync(join(root, pid, "environ"), env.map((it) => `${it}\0`).join(""));
    if (started !== undefined) {
      const fields = `S 1${" 0".repeat(17)} ${started} 4096`;
      writeFileSync(join(root, pid, "stat"), `${pid} (a b) c) ${fields}\n`);
    }
    symlinkSync("/usr/bin/containerd (deleted)", join(root, pid, "exe"));
    symlinkSync("/srv", join(root, pid, "cwd"));
    symlinkSync("/", join(root, pid, "root"));
    symlinkSync(mnt, join(root, pid, "ns/mnt"));
  }
  return root;
}
