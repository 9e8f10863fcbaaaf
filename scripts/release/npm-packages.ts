/** npm packages for publishers: a small one with a launcher, and one with the executable for each platform. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../executable.ts";
import type { ReleaseTarget } from "./targets.ts";

export interface PlatformBuild {
  readonly target: ReleaseTarget;
  readonly executable: string;
}

const SCOPE = "@ctd-decoder";
const COMMON = {
  license: "Apache-2.0",
  description: "Decrypts, encrypts and verifies encrypted container images",
};
/** npm writes this time into its archives, whatever the files' times are. The staged files get the same time. */
const EPOCH = 499_162_500;

/** Writes one .tgz for each package to `folder`. @returns their file names */
export function writeNpmPackages(
  folder: string,
  version: string,
  builds: readonly PlatformBuild[],
): string[] {
  mkdirSync(folder, { recursive: true });
  const stage = join(folder, ".stage");
  const names = builds.map(({ target, executable }) => {
    const name = packageName(target);
    const manifest = {
      name,
      version,
      ...COMMON,
      os: ["linux"],
      cpu: [target.cpu],
      libc: [target.libc],
      files: ["ctd-decoder", "LICENSE"],
    };
    return pack(stage, folder, manifest, { "ctd-decoder": executable });
  });
  const main = {
    name: "ctd-decoder",
    version,
    ...COMMON,
    bin: { "ctd-decoder": "launcher.cjs" },
    files: ["launcher.cjs", "LICENSE", "README.md"],
    engines: { node: ">=18" },
    optionalDependencies: Object.fromEntries(builds.map(({ target }) => [packageName(target), version])),
  };
  const launcher = join(PROJECT, "scripts/release/npm-launcher.cjs");
  names.push(
    pack(stage, folder, main, { "launcher.cjs": launcher, "README.md": join(PROJECT, "README.md") }),
  );
  return names;
}

export function packageName({ cpu, libc }: ReleaseTarget): string {
  return `${SCOPE}/linux-${cpu}${libc === "musl" ? "-musl" : ""}`;
}

function pack(
  stage: string,
  folder: string,
  manifest: object,
  files: Readonly<Record<string, string>>,
): string {
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage);
  try {
    writeFileSync(join(stage, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    for (const [name, source] of Object.entries({ ...files, LICENSE: join(PROJECT, "LICENSE") })) {
      const path = join(stage, name);
      copyFileSync(source, path);
      if (name === "ctd-decoder" || name === "launcher.cjs") chmodSync(path, 0o755);
      utimesSync(path, EPOCH, EPOCH);
    }
    const output = execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], {
      cwd: stage,
      encoding: "utf8",
    });
    return output.trim().split("\n").at(-1) ?? "";
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}
