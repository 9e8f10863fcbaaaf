/** The machine and the programs that were measured. */
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import { join } from "node:path";
import { goDecoder, PROJECT } from "../../test/support/peers.ts";
import { GiB } from "./units.ts";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  /** Whether the processor has instructions for SHA-256, which both decoders use. */
  readonly shaInstructions: boolean;
  readonly memoryGiB: number;
  readonly kernel: string;
  /** Load average of one minute. More than a few tenths means noise in the numbers. */
  readonly load: number;
  readonly goDecoder: string;
  readonly runtime: string;
}

export function describeMachine(): Machine {
  const all = cpus();
  const flags = / (sha_ni|sha2)( |$)/m.test(readFileSync("/proc/cpuinfo", "utf8"));
  // Go writes its version into the executable.
  const [go = "go"] = /go1\.\d+(\.\d+)?/.exec(readFileSync(goDecoder.command, "latin1")) ?? [];
  const bun = JSON.parse(readFileSync(join(PROJECT, "node_modules/bun/package.json"), "utf8")) as {
    version: string;
  };
  return {
    processor: all[0]?.model.trim() ?? process.arch,
    cores: all.length,
    shaInstructions: flags,
    memoryGiB: Math.round(totalmem() / GiB),
    kernel: `${type()} ${release()}`,
    load: loadavg()[0] ?? 0,
    goDecoder: `imgcrypt's of Debian trixie, ${go}`,
    runtime: `Bun ${bun.version}`,
  };
}

/** Describes the machine in lines of text. */
export function inWords(machine: Machine): string[] {
  const sha = machine.shaInstructions ? "with SHA instructions" : "without SHA instructions";
  return [
    `${machine.processor}, ${machine.cores} cores, ${sha}, ${machine.memoryGiB} GiB, ${machine.kernel}`,
    `ours: ${machine.runtime}; Go: ${machine.goDecoder}; load at the start: ${machine.load.toFixed(1)}`,
  ];
}
