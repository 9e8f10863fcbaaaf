/** Lists the npm packages in the executable, and proves that it needs no other, from the bundler's own record. */
import { isBuiltin } from "node:module";
import type { Metafile } from "./hot-path.ts";

export interface BundledPackage {
  /** The npm name; "ctd-decoder" for the project's own sources. */
  readonly name: string;
  /** Folder below the project that the package was read from: "node_modules/yaml". Empty for the project. */
  readonly folder: string;
  /** Minified code in the executable, in bytes. */
  readonly bytes: number;
}

const OWN = "ctd-decoder";
/** The package of a path, also of a nested package. */
const PACKAGE = /^(?<folder>.*node_modules\/(?<name>(?:@[^/]+\/)?[^/]+))\//;

/** @returns each package with at least one byte in the executable, sorted by name */
export function packagesIn({ outputs }: Metafile): BundledPackage[] {
  const found = new Map<string, BundledPackage>();
  for (const output of Object.values(outputs)) {
    for (const [input, { bytesInOutput = 0 }] of Object.entries(output.inputs)) {
      if (bytesInOutput === 0) continue;
      const { folder = "", name = OWN } = PACKAGE.exec(input)?.groups ?? {};
      const bytes = (found.get(folder)?.bytes ?? 0) + bytesInOutput;
      found.set(folder, { name, folder, bytes });
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The executable would search the working directory and the folders above it for a package that is not in it, and run it.
 * @throws Error that names the first such import
 */
export function checkSelfContained({ inputs }: Metafile): void {
  for (const [input, { imports }] of Object.entries(inputs)) {
    const outside = imports.find(
      ({ path, external }) => external && !path.startsWith("./") && !isBuiltin(path),
    );
    if (outside !== undefined)
      throw new Error(`${input} imports ${outside.path}, which is not in the executable`);
  }
}
