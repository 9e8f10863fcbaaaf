/** Runs whole processes and takes their time. */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type LayerFiles, MEDIA_TYPE } from "./inputs.ts";

/** containerd's own as a service is no larger. */
export const ENVIRONMENT = { PATH: process.env["PATH"] ?? "", STREAM_PROCESSOR_MEDIATYPE: MEDIA_TYPE };

/** A command and its arguments. */
export type CommandLine = readonly [string, ...string[]];

/** Has all that was written before go to the disk now, rather than at the expense of who is measured next. */
export function settle(): void {
  spawnSync("sync");
}

/** Milliseconds that a program takes from its start to its end. @throws Error when it fails */
export function timeOf(command: CommandLine, folder: string): number {
  return timed(command, folder, []);
}

/**
 * A decoder on files instead of pipes: the least there is around it, for layers that take no longer than a shell.
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
 * $1 the layer, $2 the payload, $3 how many at once, $4 whether this shell has the layer open, then the decoder: from pipe
 * to pipe, as containerd calls it.
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
 * @param isOpen whether the process that starts the decoder has the layer's blob open, as containerd has
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

/** Compares what a decoder writes with the plaintext. @throws Error when it is another */
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

/** `descriptors`: of stdin, and of what is on 3. Anything on stderr is a failure; stdout is thrown away. */
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

function expectSuccess(command: string, result: SpawnSyncReturns<unknown>, messages: string): void {
  if (result.error !== undefined) throw result.error;
  const { status, signal } = result;
  if (status !== 0 || messages !== "")
    throw new Error(`${command}: ${signal ?? `exit ${status}`} ${messages}`);
}
