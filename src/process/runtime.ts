import { DecoderError } from "../errors.ts";
import { files } from "./files.ts";

/** Whether this code is in the executable. Bun keeps it below /$bunfs/, on Windows below B:/~BUN/. */
export const IS_COMPILED = import.meta.url.includes("/$bunfs/") || import.meta.url.includes("/~BUN/");

const { Bun } = globalThis as { readonly Bun?: BunApi };

/** Whether this is a thread that {@link startThread} started, in the executable. */
export const IS_THREAD = Bun?.isMainThread === false;

/** The code of threads, as paths below src/. */
export const CHUNK_WORKER = "cipher/chunk-worker.ts";
export const LAYER_WORKER = "image/layer-worker.ts";

/** A hash or HMAC over bytes that arrive in pieces. */
export interface RunningHash {
  update(piece: Uint8Array): unknown;
  digest(): Uint8Array;
}

interface BunApi {
  readonly isMainThread: boolean;
  readonly CryptoHasher: new (algorithm: string, key?: Uint8Array) => RunningHash;
}

/**
 * Starts a hash, or an HMAC with a key. The executable has Bun's own functions: unlike node:crypto they need not be loaded, and
 * unlike WebCrypto they neither copy the bytes nor wait for all of them.
 * @param algorithm "sha256", "sha384", "sha512"
 */
export function startHash(algorithm: string, key?: Uint8Array): RunningHash {
  if (Bun !== undefined) return new Bun.CryptoHasher(algorithm, key);
  const { createHash, createHmac } = process.getBuiltinModule("node:crypto");
  return key === undefined ? createHash(algorithm) : createHmac(algorithm, key);
}

/** The program's first argument when it runs as its own helper process. The second names the helper. */
export const HELPER_COMMAND = "helper-process";

/**
 * Variables that make the runtime inside the executable load code, open a debugger's port, trace what it runs or write
 * files. The runtime obeys them before this code runs. By then, no key has been read, and nothing written to stdout.
 * (BUN_BE_BUN=1 can't be seen from here: it makes the executable Bun's own command line.)
 */
const STEERING_VARIABLE = /^BUN_(?:OPTIONS$|INSPECT|JSC_|BYTECODE_)/;

/** @throws DecoderError CONFIG for the first such variable that is not empty */
export function refuseSteering(environment: Readonly<Record<string, string | undefined>>): void {
  for (const name in environment) {
    // Every layer pays for this loop. The first letters rule out most names.
    if (!name.startsWith("BUN_") || !STEERING_VARIABLE.test(name) || !environment[name]) continue;
    throw new DecoderError(
      "CONFIG",
      `the environment variable ${name} is set: it can make the decoder run other code, or show its memory to others`,
      { hint: `unset ${name} for containerd, or in the stream processor's env` },
    );
  }
}

/** proc(5): the mappings that a core dump contains, as bits. */
const COREDUMP_FILTER = "/proc/self/coredump_filter";

/**
 * Keeps the memory of this process and of its children out of core dumps, since it holds keys. JavaScript can't call
 * prctl(2) with PR_SET_DUMPABLE, which would also keep debuggers out.
 */
export function keepOutOfCoreDumps(): void {
  if (process.platform !== "linux") return;
  try {
    files.writeFileSync(COREDUMP_FILTER, "0");
  } catch {
    // The kernel lacks core dumps, or /proc is read-only. JavaScript has no other means.
  }
}

const FIRST_WAIT_MS = 0.05;
const LONGEST_WAIT_MS = 10;

let neverNotified: Int32Array | undefined;

/**
 * Waits in synchronous code. On a non-blocking descriptor a read or write returns EAGAIN, and neither runtime offers
 * poll(2). The waits grow from 50 µs to 10 ms: a busy pipe is served at once, and an idle one costs nothing.
 * @param lastMs what the wait before this one returned; 0 for the first since bytes were last read or written
 */
export function backOff(lastMs: number): number {
  neverNotified ??= new Int32Array(new SharedArrayBuffer(4));
  const waitMs = Math.min(Math.max(lastMs * 2, FIRST_WAIT_MS), LONGEST_WAIT_MS);
  Atomics.wait(neverNotified, 0, 0, waitMs);
  return waitMs;
}
