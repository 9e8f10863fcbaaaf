/** Fetches the runtime's executable for a target from its npm package, and checks it against package-lock.json. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { lockedPackage } from "./lock-file.ts";
import type { ReleaseTarget } from "./targets.ts";

/**
 * @param cache folder that keeps unpacked runtimes from one release to the next
 * @returns path of the runtime's executable
 * @throws Error when the archive is not the one in package-lock.json
 */
export function fetchRuntime({ runtimePackage }: ReleaseTarget, cache: string): string {
  const { version, integrity } = lockedPackage(`node_modules/${runtimePackage}`);
  const folder = join(cache, `${runtimePackage.replace("/", "-")}-${version}`);
  const executable = join(folder, "package/bin/bun");
  if (existsSync(executable)) return executable;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "fetch-"));
  try {
    execFileSync("npm", ["pack", "--silent", `${runtimePackage}@${version}`], {
      cwd: work,
      stdio: ["ignore", "ignore", "inherit"],
    });
    const archive = join(work, readdirSync(work)[0] ?? "");
    const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
    if (found !== integrity)
      throw new Error(`${runtimePackage}@${version} is not the package in package-lock.json`);
    execFileSync("tar", ["--extract", "--gzip", "--file", archive, "package/bin/bun"], { cwd: work });
    rmSync(archive);
    renameSync(work, folder);
    return executable;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
