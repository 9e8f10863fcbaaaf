import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { flagValue } from "./stream-processors.ts";

/** A containerd that runs on this machine. */
export interface RunningContainerd {
  readonly pid: number;
  readonly executable: string;
  readonly configFile: string;
  /** Its PATH, where it looks for decoders. */
  readonly searchPath: string;
  /** Whether its files are this process's: it may live in a container or a chroot. */
  readonly sharesFiles: boolean;
  /** When it started at the latest, in ms since the epoch; undefined where /proc does not say. */
  readonly startedBy?: number;
}

export const USUAL_CONFIG = "/etc/containerd/config.toml";
/** Where distributions of Kubernetes keep theirs. */
const KNOWN_CONFIGS = [
  USUAL_CONFIG,
  "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
  "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
];
const VERSION_TIMEOUT_MS = 10_000;
/** proc_pid_stat(5): the start is the 22nd field, the 20th after the name in brackets, in ticks since the boot. */
const START_FIELD = 19;
/** Linux shows programs a hundred ticks a second, whatever its own clock does. */
const TICK_MS = 10;

/** Every containerd among the processes of /proc that may be looked at. */
export function runningContainerds(proc = "/proc"): RunningContainerd[] {
  return numbersIn(proc).flatMap((pid) => {
    const folder = `${proc}/${pid}`;
    const [, ...args] = fieldsOf(`${folder}/cmdline`);
    if (textOf(`${folder}/comm`).trim() !== "containerd" || !runsServer(args)) return [];
    const executable = linkOf(`${folder}/exe`);
    const environment = fieldsOf(`${folder}/environ`);
    if (executable === undefined) return [];
    const startedBy = startOf(proc, pid);
    const file = flagValue(args, "config") ?? flagValue(args, "c") ?? USUAL_CONFIG;
    return {
      pid: Number(pid),
      executable,
      configFile: isAbsolute(file) ? file : join(linkOf(`${folder}/cwd`) ?? "/", file),
      sharesFiles: ["ns/mnt", "root"].every(
        (it) => linkOf(`${folder}/${it}`) === linkOf(`${proc}/self/${it}`),
      ),
      searchPath: environment.find((it) => it.startsWith("PATH="))?.slice("PATH=".length) ?? "",
      ...(startedBy !== undefined && { startedBy }),
    };
  });
}

/** The boot's time is in whole seconds: the start may be up to one later. */
function startOf(proc: string, pid: string): number | undefined {
  const [, bootSeconds] = /^btime (\d+)$/m.exec(textOf(`${proc}/stat`)) ?? [];
  const stat = textOf(`${proc}/${pid}/stat`);
  const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[START_FIELD];
  if (bootSeconds === undefined || ticks === undefined) return undefined;
  return (Number(bootSeconds) + 1) * 1000 + Number(ticks) * TICK_MS;
}

/** `containerd config dump` and the like are the same program. */
function runsServer(args: readonly string[]): boolean {
  const words = args.filter((arg, i) => !arg.startsWith("-") && !(args[i - 1] ?? "").startsWith("-"));
  return words.length === 0;
}

/** The configurations that lie where they usually do. */
export function knownConfigFiles(): string[] {
  return KNOWN_CONFIGS.filter((path) => existsSync(path));
}

/** What `containerd --version` prints; "" when it can't be run. k3s is one program that goes by its name. */
export function printedVersion(executable: string): string {
  const { stdout } = spawnSync(executable, ["--version"], {
    argv0: "containerd",
    encoding: "utf8",
    timeout: VERSION_TIMEOUT_MS,
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

/** proc(5): strings that each end in a null byte. */
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
