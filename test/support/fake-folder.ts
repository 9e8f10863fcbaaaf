import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { onTestFinished } from "vitest";

const REAL = fs.readdirSync;

/** Lets a folder seem to hold files of these names. It is itself again when the test ends. */
export function fakeFolder(path: string, names: readonly string[]): void {
  const fake = (folder: string, ...rest: []) => (folder === path ? [...names] : REAL(folder, ...rest));
  replace(fake as typeof REAL);
  onTestFinished(() => replace(REAL));
}

function replace(readdir: typeof fs.readdirSync): void {
  fs.readdirSync = readdir;
  syncBuiltinESMExports();
}
