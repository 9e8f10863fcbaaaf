/** Versions, integrity and licences of packages, from package-lock.json. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../executable.ts";

export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  /** Subresource integrity of the package's archive: "sha512-<base64>". */
  readonly integrity: string;
  /** SPDX expression as the package states it. */
  readonly license: string;
}

type Rows = Readonly<Record<string, Partial<LockedPackage>>>;

const { packages } = JSON.parse(readFileSync(join(PROJECT, "package-lock.json"), "utf8")) as {
  packages: Rows;
};

/** @param folder of the installed package, below the project: "node_modules/yaml" */
export function lockedPackage(folder: string): LockedPackage {
  const row = packages[folder];
  if (row?.version === undefined || row.integrity === undefined)
    throw new Error(`package-lock.json has no ${folder}`);
  const name = folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length);
  return { name, version: row.version, integrity: row.integrity, license: row.license ?? "NOASSERTION" };
}

/** Version of this project. */
export function ownVersion(): string {
  const version = packages[""]?.version;
  if (version === undefined) throw new Error("package-lock.json has no version of its own");
  return version;
}
