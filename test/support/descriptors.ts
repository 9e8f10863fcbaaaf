import { readdirSync, readlinkSync } from "node:fs";

/** Paths below a folder that this process has open. The system adds " (deleted)" to files without a name. */
export function openBelow(folder: string): string[] {
  const targets = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // It was that of reading the folder.
    }
  });
  return targets.filter((it) => it.startsWith(`${folder}/`));
}
