/** Runs whole processes and measures their time. */
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, existsSync, openSync, read, readFileSync, write } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type LayerFiles, MEDIA_TYPE } from "./inputs.ts";

/** Drops a file from the page cache, as if the machine had just started. */
export function forget(path: string): void {
  spawnSync("dd", [`if=${path}`, "iflag=nocache", "count=0", "status=none"]);
}

/** An environment as small as that of containerd when it runs as a service. */
export const ENVIRONMENT = { PATH: process.env["PATH"] ?? "", STREAM_PROCESSOR_MEDIATYPE: MEDIA_TYPE };

/** A command and its arguments. */
export type CommandLine = readonly [string, ...string[]];

/** Flushes earlier writes to the disk now, so that they do not slow down the next measurement. */
export function settle(): void {
  spawnSync("sync");
}

/** Milliseconds that a program takes from start to end. @throws Error if it fails */
export function timeOf(command: CommandLine, folder: string): number {
  return timed(command, folder, []);
}

/**
 * Does what containerd does: it has the layer's blob open, copies it to the decoder, and reads the plaintext.
 * @returns milliseconds
 */
export async function timeAsContainerd(
  [command, ...args]: CommandLine,
  layer: LayerFiles,
  folder: string,
): Promise<number> {
  const messages = join(folder, "stderr");
  const [stdin, stdout] = [openPipe(join(folder, "stdin")), openPipe(join(folder, "stdout"))];
  const [blob, payload, errors] = [
    openSync(layer.path, "r"),
    openSync(layer.payload, "r"),
    openSync(messages, "w"),
  ];
  try {
    const start = performance.now();
    const stdio = [stdin.readable, stdout.writable, errors, payload];
    const child = spawn(command, args, { stdio, env: ENVIRONMENT });
    const ended = once(child, "exit");
    for (const fd of [stdin.readable, stdout.writable]) closeSync(fd);
    const fed = copy(blob, stdin.writable).finally(() => closeSync(stdin.writable));
    await Promise.all([ended, fed, drain(stdout.readable)]);
    const milliseconds = performance.now() - start;
    const { exitCode: status, signalCode: signal } = child;
    expectSuccess(command, { status, signal }, readFileSync(messages, "utf8"));
    return milliseconds;
  } finally {
    for (const fd of [stdout.readable, blob, payload, errors]) closeSync(fd);
  }
}

/** A pipe with blocking ends. Node makes sockets where it is asked for pipes, so this one has a name. */
function openPipe(path: string): { readonly readable: number; readonly writable: number } {
  if (!existsSync(path)) spawnSync("mkfifo", [path]);
  // Opening one end waits for the other.
  const both = openSync(path, constants.O_RDWR);
  const ends = { readable: openSync(path, "r"), writable: openSync(path, "w") };
  closeSync(both);
  return ends;
}

const [readSome, writeSome] = [promisify(read), promisify(write)];
const COPY_BYTES = 64 * 1024;

/** Ends early if the decoder does not read it: it may use the open blob instead. */
async function copy(from: number, to: number): Promise<void> {
  const buffer = Buffer.alloc(COPY_BYTES);
  for (;;) {
    const { bytesRead } = await readSome(from, buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    try {
      for (let written = 0; written < bytesRead; )
        written += (await writeSome(to, buffer, written, bytesRead - written)).bytesWritten;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EPIPE") return;
      throw error;
    }
  }
}

async function drain(from: number): Promise<void> {
  const buffer = Buffer.alloc(COPY_BYTES);
  while ((await readSome(from, buffer, 0, buffer.length, null)).bytesRead > 0);
}

/**
 * A decoder that reads and writes files instead of pipes.
 * @returns milliseconds
 */
export function timeOnFiles(decoder: CommandLine, layer: LayerFiles, folder: string): number {
  const [input, payload] = [openSync(layer.path, "r"), openSync(layer.payload, "r")];
  try {
    return timed(decoder, folder, [input, payload]);
  } finally {
    closeSync(input);
    closeSync(payload);
  }
}

/**
 * Runs decoders from pipe to pipe, as containerd does. $1 is the layer, $2 the payload, $3 how many run at once, $4 whether
 * this shell has the layer open; the decoder follows.
 */
const PIPES = `
layer=$1 payload=$2 times=$3 is_open=$4
shift 4
[ "$is_open" = true ] && exec 9<"$layer"
while [ "$times" -gt 0 ]; do
  times=$((times - 1))
  cat "$layer" | { "$@" 3<"$payload" || echo "exit code $?" >&2; } | cat >/dev/null &
done
wait
`;

/**
 * @param isOpen whether the process that starts the decoder has the layer's blob open, as containerd does
 * @returns milliseconds from the start of the first of `times` decoders to the end of the last
 */
export function timeThroughPipes(
  decoder: CommandLine,
  layer: LayerFiles,
  folder: string,
  { times = 1, isOpen = false } = {},
): number {
  const parameters = [layer.path, layer.payload, String(times), String(isOpen)];
  return timed(["sh", "-c", PIPES, "sh", ...parameters, ...decoder], folder, []);
}

/** Compares a decoder's output with the plaintext. @throws Error if they differ */
export function check(decoder: CommandLine, layer: LayerFiles): void {
  const script = `layer=$1 payload=$2; shift 2; cat "$layer" | "$@" 3<"$payload" | openssl dgst -sha256 -r`;
  const { stdout } = spawnSync("sh", ["-c", script, "sh", layer.path, layer.payload, ...decoder], {
    stdio: ["ignore", "pipe", "inherit"],
    env: ENVIRONMENT,
    encoding: "utf8",
  });
  if (stdout.split(" ")[0] !== layer.digest)
    throw new Error(`${decoder.join(" ")} does not decrypt ${layer.path} right`);
}

/** @param descriptors of stdin and of file descriptor 3. Output on stderr is a failure; stdout is discarded. */
function timed([command, ...args]: CommandLine, folder: string, descriptors: readonly number[]): number {
  const [input, payload] = descriptors;
  const messages = join(folder, "stderr");
  const [none, errors] = [openSync("/dev/null", "r+"), openSync(messages, "w")];
  try {
    const stdio = [input ?? none, none, errors, ...(payload === undefined ? [] : [payload])];
    const start = performance.now();
    const result = spawnSync(command, args, { stdio, env: ENVIRONMENT });
    const milliseconds = performance.now() - start;
    expectSuccess(command, result, readFileSync(messages, "utf8"));
    return milliseconds;
  } finally {
    closeSync(none);
    closeSync(errors);
  }
}

function expectSuccess(
  command: string,
  result: Pick<SpawnSyncReturns<unknown>, "error" | "status" | "signal">,
  messages: string,
): void {
  if (result.error !== undefined) throw result.error;
  const { status, signal } = result;
  if (status !== 0 || messages !== "")
    throw new Error(`${command}: ${signal ?? `exit ${status}`} ${messages}`);
}

/** What a command took, in milliseconds. */
export interface Taken {
  readonly wall: number;
  readonly cpu: number;
}

/**
 * Runs a command under bash, whose `times` has the processor time of what it ran. Without --norc, bash takes Node's sockets for
 * a remote login and reads the user's .bashrc.
 * @throws Error if it fails
 */
export function measured(command: CommandLine, more: Readonly<Record<string, string>> = {}): Taken {
  const start = performance.now();
  const script = `"$@" >/dev/null && times`;
  const { status, stdout, stderr } = spawnSync("bash", ["--norc", "-c", script, "bash", ...command], {
    env: { ...ENVIRONMENT, ...more },
    encoding: "utf8",
  });
  const wall = performance.now() - start;
  if (status !== 0) throw new Error(`${command.join(" ")}: exit ${status} ${stderr}`);
  // The second line: user and system time of the children, "0m1.234s 0m0.567s".
  const [user = 0, system = 0] = [...(stdout.split("\n")[1] ?? "").matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, minutes, seconds]) => (Number(minutes) * 60 + Number(seconds)) * 1000,
  );
  return { wall, cpu: user + system };
}
