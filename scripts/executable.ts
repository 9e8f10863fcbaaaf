/** Compiles src/ into one executable with the runtime in it. The same sources give the same bytes in every folder. */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { checkSelfContained } from "./bundled-packages.ts";
import { COMPILE_FLAGS } from "./compile-flags.ts";
import { checkCommandLine, checkHotPath, type HotPath, type Metafile } from "./hot-path.ts";

export const PROJECT = dirname(import.meta.dirname);

const ENTRY = "src/main.ts";
const INPUTS = ["package.json", "tsconfig.json", "src", "node_modules"];
/** The PKCS#11 binding as node-gyp leaves it, below the stage. */
const PKCS11_MODULE = "node_modules/pkcs11js/build/Release/pkcs11.node";
/** grpc-js loads it only for channelz and load reports, which are not used here. It would add protobufjs. */
const UNUSED_PACKAGE = "@grpc/proto-loader";

/** Stands for packages that are left out, below the stage. */
const ABSENT = "absent-package.cjs";

export interface Target {
  /** As in file names: "x64", "arm64-musl". */
  readonly name: string;
  /** bun build's --target: "bun-linux-x64". */
  readonly bunTarget: string;
  /** The runtime's executable to embed. */
  readonly runtime: string;
  /** The PKCS#11 binding compiled for the target; undefined leaves PKCS#11 out. */
  readonly pkcs11Module: string | undefined;
}

export interface Build {
  readonly hotPath: HotPath;
  readonly metafile: Metafile;
}

/**
 * @param target what to build for; undefined builds for this machine with the installed packages as they are
 * @param outfile the executable; it is replaced in one step when all is done
 * @throws Error when the hot path would load more than the decoder, or the executable a package that is not in it
 */
export function buildExecutable(outfile: string, target?: Target): Build {
  mkdirSync(dirname(outfile), { recursive: true });
  // The name is constant below the stage: bun build stores it in the executable.
  const stage = `${outfile}.${process.pid}.stage`;
  try {
    makeStage(stage, target);
    const metafilePath = join(stage, "metafile.json");
    execFileSync(
      join(PROJECT, "node_modules/.bin/bun"),
      [
        "build",
        ...COMPILE_FLAGS,
        ...targetFlags(target),
        "--metafile=metafile.json",
        "--outfile=ctd-decoder",
        ENTRY,
      ],
      { cwd: stage, stdio: ["ignore", "ignore", "inherit"] },
    );
    const metafile = JSON.parse(readFileSync(metafilePath, "utf8")) as Metafile;
    checkSelfContained(metafile);
    const hotPath = checkHotPath(metafile);
    checkCommandLine(metafile);
    renameSync(join(stage, "ctd-decoder"), outfile);
    return { hotPath, metafile };
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** A copy of the inputs at fixed relative paths. Packages are hard links, so it costs no disk space. */
function makeStage(stage: string, target: Target | undefined): void {
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  for (const input of INPUTS) linkTree(join(PROJECT, input), join(stage, input));
  leaveOut(stage, UNUSED_PACKAGE);
  if (target === undefined) return;
  if (target.pkcs11Module === undefined) return leaveOut(stage, "pkcs11js");
  const module = join(stage, PKCS11_MODULE);
  // The link is removed first: writing through it would change the installed package.
  rmSync(module, { force: true });
  copyFileSync(target.pkcs11Module, module);
}

/**
 * Replaces a package by a module that throws. bun build's --external would leave the import as it is, and the executable
 * would then run a package of that name from the working directory.
 */
function leaveOut(stage: string, name: string): void {
  const folder = join(stage, "node_modules", name);
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  writeFileSync(join(stage, ABSENT), 'throw new Error("this build does not contain it");\n');
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name, main: relative(folder, join(stage, ABSENT)) }),
  );
}

function linkTree(from: string, to: string): void {
  if (statSync(from).isFile()) return linkSync(from, to);
  // -H follows a link to the folder itself. The stage would otherwise share the packages, and leaveOut would remove one.
  execFileSync("cp", ["--archive", "--link", "-H", from, to]);
}

function targetFlags(target: Target | undefined): string[] {
  if (target === undefined) return [];
  return [`--target=${target.bunTarget}`, `--compile-executable-path=${target.runtime}`];
}
