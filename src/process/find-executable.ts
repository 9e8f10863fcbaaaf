import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

/**
 * The file that a command's name stands for, or undefined where there is none that may be run. A bare name is searched in
 * the absolute folders of `searchPath` only: a file in the working directory is never run by accident.
 * @param searchPath the value of PATH
 */
export function findExecutable(name: string, searchPath: string): string | undefined {
  if (name.includes("/")) return isExecutable(name) ? name : undefined;
  const folders = searchPath.split(delimiter).filter((folder) => isAbsolute(folder));
  return name === "" ? undefined : folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
