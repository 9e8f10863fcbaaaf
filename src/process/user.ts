import { statSync } from "node:fs";

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
    // node:os is loaded only if HOME is not set.
    return process.getBuiltinModule("node:os").homedir();
  } catch {
    return "/";
  }
}
