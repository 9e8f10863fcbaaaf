/** Compiles src/ into one executable with the runtime in it. The same sources give the same bytes in every folder. */
import { execFileSync } from "node:child_process";
import { copyFileSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { COMPILE_FLAGS } from "./compile-flags.ts";
import { checkHotPath, type HotPath, type Metafile } from "./hot-path.ts";

export const PROJECT = dirname(import.meta.dirname);

/** Entry points of threads follow main: the executable finds them by their paths below src/. */
const ENTRIES = ["src/main.ts", "src/cipher/hmac-worker.ts", "src/image/layer-worker.ts"];
const INPUTS = ["package.json", "tsconfig.json", "src", "node_modules"];
/** The PKCS#11 binding as node-gyp leaves it, below the stage. */
const PKCS11_MODULE = "node_modules/pkcs11js/build/Release/pkcs11.node";

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
 * @throws Error when the hot path would load more than the decoder
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
        ...ENTRIES,
      ],
      { cwd: stage, stdio: ["ignore", "ignore", "inherit"] },
    );
    const metafile = JSON.parse(readFileSync(metafilePath, "utf8")) as Metafile;
    const hotPath = checkHotPath(metafile);
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
  if (target === undefined) return;
  const module = join(stage, PKCS11_MODULE);
  // The link is removed first: writing through it would change the installed package.
  rmSync(module, { force: true });
  if (target.pkcs11Module !== undefined) copyFileSync(target.pkcs11Module, module);
}

function linkTree(from: string, to: string): void {
  if (statSync(from).isFile()) return linkSync(from, to);
  execFileSync("cp", ["--archive", "--link", from, to]);
}

function targetFlags(target: Target | undefined): string[] {
  if (target === undefined) return [];
  return [
    `--target=${target.bunTarget}`,
    `--compile-executable-path=${target.runtime}`,
    ...(target.pkcs11Module === undefined ? ["--external=pkcs11js"] : []),
  ];
}
