import { readdirSync, readlinkSync } from "node:fs";

/** Paths below a folder that this process has open. The system adds " (deleted)" to files without a name. */
export function openBelow(folder: string): string[] {
  return openFilesBelow(folder).map(targetOf);
}

/** Descriptors of the files below a folder that this process has open. */
export function openFilesBelow(folder: string): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => targetOf(fd).startsWith(`${folder}/`));
}

function targetOf(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ""; // It was that of reading the folder.
  }
}
