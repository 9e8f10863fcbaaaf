import { files } from "../process/files.ts";

/**
 * A field of /proc/PID/stat.
 * @param field its number in proc_pid_stat(5), at least 3
 * @param proc the folder of processes, "/proc"
 * @returns undefined if the process has ended, or can't be read
 */
export function processField(pid: number | string, field: number, proc = "/proc"): string | undefined {
  try {
    const stat = files.readFileSync(`${proc}/${pid}/stat`, "latin1");
    // Field 2 is the program's name in parentheses, and may hold any character, so fields are counted from its end.
    return stat.slice(stat.lastIndexOf(")")).split(" ")[field - 2];
  } catch {
    return undefined;
  }
}
