import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { processField } from "../io/process-field.ts";
import * as LIMITS from "../system-limits.ts";
import { flagValue } from "./stream-processors.ts";

/** A running containerd. */
export interface RunningContainerd {
  readonly pid: number;
  readonly executable: string;
  readonly configFile: string;
  /** Its PATH, on which it finds decoders. */
  readonly searchPath: string;
  /** Whether it sees the same files as this process: it may run in a container or a chroot. */
  readonly sharesFiles: boolean;
  /** Undefined if /proc does not say. */
  readonly started?: TimeRange;
}

/** Two times between which something happened, in ms since the epoch. */
interface TimeRange {
  readonly earliest: number;
  readonly latest: number;
}

export const USUAL_CONFIG = "/etc/containerd/config.toml";
/** Configurations of Kubernetes distributions. */
const KNOWN_CONFIGS = [
  USUAL_CONFIG,
  "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
  "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
  "/etc/k0s/containerd.toml",
];
/** proc_pid_stat(5): the start is field 22, in ticks since the boot. */
const START_FIELD = 22;
/** Linux reports a hundred ticks a second to programs, whatever its own clock is. A part of a tick is cut off. */
const TICK_MS = 10;

/** Every containerd in /proc that this process may inspect. */
export function runningContainerds(proc = "/proc"): RunningContainerd[] {
  return numbersIn(proc).flatMap((pid) => {
    const folder = `${proc}/${pid}`;
    const [, ...args] = fieldsOf(`${folder}/cmdline`);
    if (textOf(`${folder}/comm`).trim() !== "containerd" || !runsServer(args)) return [];
    const executable = linkOf(`${folder}/exe`);
    const environment = fieldsOf(`${folder}/environ`);
    if (executable === undefined) return [];
    const started = startOf(proc, pid);
    const file = flagValue(args, "config") ?? flagValue(args, "c") ?? USUAL_CONFIG;
    return {
      pid: Number(pid),
      executable,
      configFile: isAbsolute(file) ? file : join(linkOf(`${folder}/cwd`) ?? "/", file),
      sharesFiles: ["ns/mnt", "root"].every(
        (it) => linkOf(`${folder}/${it}`) === linkOf(`${proc}/self/${it}`),
      ),
      searchPath: environment.find((it) => it.startsWith("PATH="))?.slice("PATH=".length) ?? "",
      ...(started && { started }),
    };
  });
}

function startOf(proc: string, pid: string): TimeRange | undefined {
  const boot = bootTime(proc);
  const ticks = processField(pid, START_FIELD, proc);
  if (boot === undefined || ticks === undefined) return undefined;
  const after = Number(ticks) * TICK_MS;
  return { earliest: boot.earliest + after, latest: boot.latest + after + TICK_MS };
}

/** When this machine booted. proc_uptime(5) has hundredths of a second, `btime` in proc_stat(5) whole seconds only. */
export function bootTime(proc = "/proc"): TimeRange | undefined {
  const before = Date.now();
  const [, seconds] = /^(\d+\.\d\d) /.exec(textOf(`${proc}/uptime`)) ?? [];
  const after = Date.now() + 1;
  if (seconds === undefined) return undefined;
  const uptime = Math.round(Number(seconds) * 1000);
  return { earliest: before - uptime - TICK_MS, latest: after - uptime };
}

/** `containerd config dump` is the same program, but not a server. */
function runsServer(args: readonly string[]): boolean {
  const words = args.filter((arg, i) => !arg.startsWith("-") && !(args[i - 1] ?? "").startsWith("-"));
  return words.length === 0;
}

/** The configurations that exist at their usual paths. */
export function knownConfigFiles(): string[] {
  return KNOWN_CONFIGS.filter((path) => existsSync(path));
}

/** The output of `containerd --version`; "" if it cannot run. k3s is one program that acts by the name it is called. */
export function printedVersion(executable: string): string {
  const { stdout } = spawnSync(executable, ["--version"], {
    argv0: "containerd",
    encoding: "utf8",
    timeout: LIMITS.nodeCommandMs,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return stdout ?? "";
}

function numbersIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** proc(5): each string ends in a null byte. */
function fieldsOf(path: string): string[] {
  return textOf(path).split("\0").slice(0, -1);
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path).replace(/ \(deleted\)$/, "");
  } catch {
    return undefined;
  }
}
