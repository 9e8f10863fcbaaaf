import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

/**
 * Finds the executable file of a command. A bare name is searched only in the absolute folders of `searchPath`, so a file in
 * the working directory is never run by accident.
 * @param searchPath the value of PATH
 * @returns undefined when no executable file is found
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
