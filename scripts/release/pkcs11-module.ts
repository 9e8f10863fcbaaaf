/** Compiles pkcs11js's native part for a target. node-gyp compiles for its own machine only. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../executable.ts";
import type { ReleaseTarget } from "./targets.ts";

const PACKAGE = join(PROJECT, "node_modules/pkcs11js");
/** binding.gyp's sources. */
const SOURCES = ["src/dl.cpp", "src/common.cpp", "src/main.cpp"];
const HEADERS = join(PROJECT, "node_modules/node-api-headers/include");

/** @returns path of the module, or undefined where the target has none */
export function compilePkcs11Module({ compiler, name }: ReleaseTarget, folder: string): string | undefined {
  if (compiler === undefined) return undefined;
  mkdirSync(folder, { recursive: true });
  const module = join(folder, `pkcs11-${name}.node`);
  execFileSync(
    compiler,
    [
      ...["-std=c++17", "-O2", "-fPIC", "-shared", "-s", "-fvisibility=hidden"],
      // The C++ library is not on every node.
      ...["-static-libstdc++", "-static-libgcc"],
      ...["-DNAPI_DISABLE_CPP_EXCEPTIONS", "-DBUILDING_NODE_EXTENSION", "-DNODE_GYP_MODULE_NAME=pkcs11"],
      ...["-Iincludes", `-I${HEADERS}`, `-ffile-prefix-map=${PACKAGE}=.`],
      ...["-o", module, ...SOURCES, "-ldl"],
    ],
    { cwd: PACKAGE, stdio: ["ignore", "ignore", "inherit"] },
  );
  return module;
}
