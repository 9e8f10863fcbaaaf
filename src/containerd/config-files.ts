import { readdirSync } from "node:fs";
import { basename, dirname, isAbsolute, join, normalize } from "node:path";
import { readSmallFile } from "../io/file.ts";

/** Where configuration files are read: on this machine, or on a node with planned changes applied. */
export interface ConfigFiles {
  /** @throws Error from the system, or for a file above the limit; `describeSystemError` describes both */
  read(path: string, maxBytes: number): Uint8Array;
  /** Names in a folder, sorted. Empty for a folder that cannot be read. */
  list(folder: string): readonly string[];
}

export const LOCAL_FILES: ConfigFiles = {
  read: readSmallFile,
  list: (folder) => {
    try {
      return readdirSync(folder).sort();
    } catch {
      return [];
    }
  },
};

/** The files that an entry of `imports` names. containerd's resolveImports: relative to the file, `*` in any name. */
export function resolveImport(path: string, file: string, files: ConfigFiles): string[] {
  const absolute = normalize(isAbsolute(path) ? path : join(dirname(file), path));
  return absolute.includes("*") ? glob(absolute, files) : [absolute];
}

/** Whether a pattern such as "/etc/containerd/conf.d/*.toml" includes a path. */
export function matchesImport(pattern: string, path: string): boolean {
  const [patternParts, parts] = [pattern.split("/"), path.split("/")];
  return (
    patternParts.length === parts.length && patternParts.every((it, i) => matchesName(it, parts[i] ?? ""))
  );
}

/** The files that match, sorted, as Go's filepath.Glob returns them. */
function glob(pattern: string, files: ConfigFiles): string[] {
  const folder = dirname(pattern);
  const folders = folder.includes("*") ? glob(folder, files) : [folder];
  const name = basename(pattern);
  return folders.flatMap((it) =>
    files
      .list(it)
      .filter((entry) => matchesName(name, entry))
      .map((entry) => join(it, entry)),
  );
}

/** Finds each part between two stars at its first position, which keeps the time linear. */
function matchesName(pattern: string, name: string): boolean {
  const [first = "", ...others] = pattern.split("*");
  const last = others.pop();
  if (last === undefined) return name === pattern;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of others) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
