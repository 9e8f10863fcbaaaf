/**
 * Targets of a release, one row for each build. x64 processors without AVX do not need a separate build: the runtime's "x64"
 * and "x64-baseline" packages hold the same bytes, which need SSE4.2 and nothing newer.
 */

export interface ReleaseTarget {
  /** As in file names: "x64", "arm64-musl". */
  readonly name: string;
  /** bun build's --target. */
  readonly bunTarget: string;
  /** npm package with the runtime's executable. Its version and integrity come from package-lock.json. */
  readonly runtimePackage: string;
  /** C++ compiler for the PKCS#11 binding. Undefined leaves PKCS#11 out: Debian has no C++ library for musl. */
  readonly compiler?: string;
  /** Architecture as OCI and Debian write it. */
  readonly architecture: "amd64" | "arm64";
  /** Architecture as npm writes it. */
  readonly cpu: "x64" | "arm64";
  readonly libc: "glibc" | "musl";
}

const AMD64 = { architecture: "amd64", cpu: "x64" } as const;
const ARM64 = { architecture: "arm64", cpu: "arm64" } as const;
const X64_COMPILER = "x86_64-linux-gnu-g++";
const ARM64_COMPILER = "aarch64-linux-gnu-g++";

export const TARGETS: readonly ReleaseTarget[] = [
  {
    name: "x64",
    bunTarget: "bun-linux-x64",
    runtimePackage: "@oven/bun-linux-x64",
    compiler: X64_COMPILER,
    ...AMD64,
    libc: "glibc",
  },
  {
    name: "arm64",
    bunTarget: "bun-linux-arm64",
    runtimePackage: "@oven/bun-linux-aarch64",
    compiler: ARM64_COMPILER,
    ...ARM64,
    libc: "glibc",
  },
  {
    name: "x64-musl",
    bunTarget: "bun-linux-x64-musl",
    runtimePackage: "@oven/bun-linux-x64-musl",
    ...AMD64,
    libc: "musl",
  },
  {
    name: "arm64-musl",
    bunTarget: "bun-linux-arm64-musl",
    runtimePackage: "@oven/bun-linux-aarch64-musl",
    ...ARM64,
    libc: "musl",
  },
];

/** File name of a target's executable in a release. */
export function executableName({ name }: ReleaseTarget): string {
  return `ctd-decoder-linux-${name}`;
}
