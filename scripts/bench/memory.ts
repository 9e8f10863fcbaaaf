/** Rows of a decoder's peak memory. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { LayerFiles } from "./inputs.ts";
import { type CommandLine, ENVIRONMENT } from "./programs.ts";
import { atMost, type Row } from "./row.ts";
import { GiB, KiB, MiB } from "./units.ts";

/** More than a pipe or socket holds, so that the decoder is still at work while this much is unread. */
const UNREAD_BYTES = 512 * KiB;
const GOAL_MIB = 96;
/** The most that the peak may grow when a layer is four times as large: noise. */
const NO_SLOPE = 1.05;

/** Prints the process ID that the decoder will have. */
const SCRIPT = `
layer=$1 payload=$2
shift 2
cat "$layer" | sh -c 'echo $$ >&2; exec "$@"' sh "$@" 3<"$payload"
`;

/**
 * The peak resident set (VmHWM) of a decoder that has written nearly the whole layer. The value is read while the decoder
 * waits for its reader, so that it covers all the work.
 * @returns MiB
 */
export async function peakMemory(
  decoder: CommandLine,
  layer: Pick<LayerFiles, "path" | "payload" | "bytes">,
): Promise<number> {
  const child = spawn("sh", ["-c", SCRIPT, "sh", layer.path, layer.payload, ...decoder], {
    stdio: ["ignore", "pipe", "pipe"],
    env: ENVIRONMENT,
  });
  let messages = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    messages += text;
  });
  let peak = 0;
  let written = 0;
  child.stdout.on("data", (bytes: Buffer) => {
    written += bytes.length;
    if (peak === 0 && written >= layer.bytes - UNREAD_BYTES)
      peak = highWaterMark(Number.parseInt(messages, 10));
  });
  const [code] = await once(child, "close");
  if (code !== 0 || written !== layer.bytes || peak === 0)
    throw new Error(`${decoder[0]}: exit ${code} ${messages}`);
  return peak;
}

/** proc(5), section "/proc/pid/status". */
function highWaterMark(pid: number): number {
  const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return (Number(kib) * KiB) / MiB;
}

const MEMORY_SIZES = [
  { bytes: MiB, name: "1 MiB" },
  { bytes: 64 * MiB, name: "64 MiB" },
  { bytes: 512 * MiB, name: "512 MiB" },
  { bytes: 2 * GiB, name: "2 GiB" },
  { bytes: 10 * GiB, name: "10 GiB", option: "large" },
] as const;

const memoryRows: readonly Row[] = MEMORY_SIZES.map(({ bytes, name, ...rest }) => ({
  id: `memory-${name.replace(" ", "")}`,
  unit: "MiB",
  rounds: 3,
  ...rest,
  lines: [
    { title: `peak memory, ${name}`, of: "ours", goal: atMost(GOAL_MIB) },
    { title: `peak memory, ${name}, --release=stream`, of: "stream", goal: atMost(GOAL_MIB) },
    { title: `peak memory, ${name}, Go`, of: "go" },
  ],
  prepare: async (workspace) => {
    const layer = await workspace.layer(bytes);
    const { ours, stream, go } = await workspace.decoders();
    return {
      contestants: {
        ours: () => peakMemory(ours, layer),
        stream: () => peakMemory(stream, layer),
        go: () => peakMemory(go, layer),
      },
    };
  },
}));

const slopeRow: Row = {
  id: "memory-slope",
  unit: "MiB",
  rounds: 3,
  lines: [
    { title: "peak memory, 2 GiB over 512 MiB", of: "larger", over: "smaller", goal: atMost(NO_SLOPE) },
  ],
  prepare: async (workspace) => {
    const [smaller, larger] = [await workspace.layer(512 * MiB), await workspace.layer(2 * GiB)];
    const { ours } = await workspace.decoders();
    return {
      contestants: {
        smaller: () => peakMemory(ours, smaller),
        larger: () => peakMemory(ours, larger),
      },
    };
  },
};

export const MEMORY: readonly Row[] = [...memoryRows, slopeRow];
