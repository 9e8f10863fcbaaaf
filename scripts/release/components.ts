/** Components of an executable: the packages with code in it, and the runtime. */
import { packagesIn } from "../bundled-packages.ts";
import type { Metafile } from "../hot-path.ts";
import { lockedPackage } from "./lock-file.ts";
import type { ReleaseTarget } from "./targets.ts";

export interface Component {
  readonly name: string;
  readonly version: string;
  /** SPDX expression. */
  readonly licence: string;
  /** Subresource integrity of the npm archive. */
  readonly integrity: string;
  /** Package URL: "pkg:npm/yaml@2.9.1". */
  readonly purl: string;
  /** Folder of the installed package below the project; undefined for the runtime, which is not installed for each target. */
  readonly folder?: string;
}

/** Bun is MIT; it links JavaScriptCore (LGPL) and smaller libraries, which its own licence file names. */
const RUNTIME_LICENCE = "MIT AND LGPL-2.1-or-later";
/** Licence expressions in a form that SPDX no longer accepts. */
const SPDX_NAMES: Readonly<Record<string, string>> = { "LGPL-3.0+": "LGPL-3.0-or-later" };

/** @returns the runtime first, then packages by name */
export function componentsOf(metafile: Metafile, { runtimePackage }: ReleaseTarget): Component[] {
  const runtime = { ...npmComponent(`node_modules/${runtimePackage}`), licence: RUNTIME_LICENCE };
  const folders = packagesIn(metafile).flatMap(({ folder }) => (folder === "" ? [] : [folder]));
  const libraries = folders.map((folder) => ({ ...npmComponent(folder), folder }));
  // npm may install one version of a package in several folders.
  const distinct = new Map(libraries.map((it) => [it.purl, it]));
  return [runtime, ...distinct.values()];
}

function npmComponent(folder: string): Component {
  const { name, version, license, integrity } = lockedPackage(folder);
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  return { name, version, licence: SPDX_NAMES[license] ?? license, integrity, purl };
}
