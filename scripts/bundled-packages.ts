/** Lists the npm packages in the executable, from the bundler's own record. */
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
