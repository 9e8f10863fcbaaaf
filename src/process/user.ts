import { statSync } from "node:fs";
import { homedir } from "node:os";

/** In a container the user may have no line in /etc/passwd. os.userInfo and os.homedir then throw. */

export function userId(): number {
  return process.getuid?.() ?? statSync("/proc/self").uid;
}

export function groupId(): number {
  return process.getgid?.() ?? statSync("/proc/self").gid;
}

export function homeFolder(environment: Readonly<Record<string, string | undefined>>): string {
  const home = environment["HOME"];
  if (home) return home;
  try {
    return homedir();
  } catch {
    return "/";
  }
}
