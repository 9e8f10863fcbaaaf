import { writeFileSync } from "node:fs";
import { DecoderError } from "../errors.ts";

/**
 * Variables by which the runtime inside the executable is told to load code, to open a debugger's port, to trace what it
 * runs or to write files. It has obeyed them before any of this code runs; but no key has been read by then, and nothing
 * written to stdout. (BUN_BE_BUN=1 can't be seen from here: it makes the executable Bun's own command line.)
 */
const STEERING_VARIABLE = /^BUN_(?:OPTIONS$|INSPECT|JSC_|BYTECODE_)/;

/** @throws DecoderError CONFIG for the first such variable that is not empty */
export function refuseSteering(environment: Readonly<Record<string, string | undefined>>): void {
  for (const name in environment) {
    // Each layer's start pays for this: most names are done with at their first letters.
    if (!name.startsWith("BUN_") || !STEERING_VARIABLE.test(name) || !environment[name]) continue;
    throw new DecoderError(
      "CONFIG",
      `the environment variable ${name} is set, which would run other code than this program's or let others look into it`,
      { hint: `unset ${name} for containerd, or in the stream processor's env` },
    );
  }
}

/** proc(5): which mappings a core dump holds, as bits. */
const COREDUMP_FILTER = "/proc/self/coredump_filter";

/**
 * Keeps this process's memory, and that of what it starts, out of core dumps: keys would lie there. JavaScript can't call
 * prctl(2)'s PR_SET_DUMPABLE, which would also keep out debuggers.
 */
export function keepOutOfCoreDumps(): void {
  if (process.platform !== "linux") return;
  try {
    writeFileSync(COREDUMP_FILTER, "0");
  } catch {
    // A kernel without core dumps, or a /proc that can't be written: there is no other way.
  }
}
