/** fcntl(2) of Linux. Node's constants lack both. */
const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;
/** A pipe holds 64 KiB by default, and may hold 1 MiB without privileges (pipe(7)). More than this saves no more time. */
const CAPACITY_BYTES = 256 * 1024;

/** The part of Bun's foreign function interface that is used here. */
interface Ffi {
  dlopen(
    library: string,
    functions: { readonly fcntl: { readonly args: readonly string[]; readonly returns: string } },
  ): { readonly symbols: { fcntl(fd: number, command: number, argument: number): number } };
}

/**
 * Lets a pipe hold more, so that the processes at its ends wait for each other less often.
 * @returns whether it holds {@link CAPACITY_BYTES}. False for anything but a pipe, for a user with too many large pipes, and where
 * JavaScript can't call glibc.
 */
export function enlargePipe(fd: number): boolean {
  const runtime = process as unknown as { getBuiltinModule(name: string): Ffi | undefined };
  try {
    const fcntl = { args: ["int", "int", "int"], returns: "int" };
    const symbols = runtime.getBuiltinModule("bun:ffi")?.dlopen("libc.so.6", { fcntl }).symbols;
    if (symbols === undefined) return false;
    const capacity = symbols.fcntl(fd, F_GETPIPE_SZ, 0);
    if (capacity < 0 || capacity >= CAPACITY_BYTES) return capacity > 0;
    return symbols.fcntl(fd, F_SETPIPE_SZ, CAPACITY_BYTES) >= CAPACITY_BYTES;
  } catch {
    return false;
  }
}
