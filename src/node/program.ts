import { closeSync, openSync, readSync } from "node:fs";
import { DecoderError } from "../errors.ts";
import { type CommandResult, runCommand } from "../process/command.ts";
import { findExecutable } from "../process/find-executable.ts";
import * as LIMITS from "../system-limits.ts";
import type { NodeRoot } from "./node-root.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const PRINTS_VERSION = /^ctd-decoder \d/;

/** chroot(1) and unshare(1): their exit codes for a program that cannot run, and for one that is not found. */
const CANNOT_RUN = 126;
const NOT_FOUND = 127;
/** env(1) and shells report a signal as 128 + its number. */
const ILLEGAL_INSTRUCTION = 128 + 4;

/** ELF header: e_ident, then e_machine at offset 18, little endian on every machine that the program is built for. */
const ELF_MAGIC = "\x7fELF";
const MACHINE_AT = 18;
const MACHINES: ReadonlyMap<number, string> = new Map([
  [0x03, "x86"],
  [0x28, "arm"],
  [0x3e, "x64"],
  [0xb7, "arm64"],
  [0xf3, "riscv64"],
]);
/** Programs that every node has, to see what it is made for. */
const SYSTEM_PROGRAMS = ["/sbin/init", "/bin/sh", "/usr/bin/env", "/usr/bin/containerd", "/bin/busybox"];

/**
 * Runs a program on a node, as its containerd would, before anything depends on it.
 * @param path the node's path of the program
 * @throws DecoderError UNHEALTHY, with the build to use instead
 */
export async function checkProgram(node: NodeRoot, path: string, environment: Environment): Promise<void> {
  const { end, output, errors } = await runOnNode(node, [path, "--version"], environment);
  const [printed, complaint] = [Buffer.from(output).toString(), Buffer.from(errors).toString().trim()];
  if (end.kind === "exit" && end.code === 0 && PRINTS_VERSION.test(printed)) return;
  const { problem, hint } = explain(node, path, { end, complaint });
  throw new DecoderError("UNHEALTHY", `the program does not run on this node: ${problem}`, {
    hint,
  });
}

/** Runs a program in a node's file system. @param command the node's path of the program, and its arguments */
export async function runOnNode(
  node: NodeRoot,
  command: readonly string[],
  environment: Environment,
): Promise<CommandResult> {
  const [program = "", ...args] = [...entering(node, environment), ...command];
  return await runCommand(program, args, {
    environment,
    timeoutMs: LIMITS.programTrialMs,
    outputBytes: LIMITS.nodeOutputBytes,
    errorBytes: LIMITS.nodeOutputBytes,
  });
}

/** Compiled programs find their code by /proc/self/exe. A file system that is not in use has no /proc mounted. */
function entering(node: NodeRoot, environment: Environment): string[] {
  if (node.folder === "") return [];
  if (node.exists("/proc/self") || !node.isFolder("/proc"))
    return [programOf("chroot", environment), node.folder];
  return [programOf("unshare", environment), `--root=${node.folder}`, "--mount-proc"];
}

/** @throws DecoderError NOT_FOUND */
export function programOf(
  name: string,
  environment: Environment,
  hint = `install ${name} in the image or on the machine that runs this`,
): string {
  const found = findExecutable(name, environment["PATH"] ?? "");
  if (found !== undefined) return found;
  throw new DecoderError("NOT_FOUND", `${name} is not on PATH`, {
    hint,
  });
}

interface Outcome {
  readonly end: CommandResult["end"];
  /** What it wrote to standard error. */
  readonly complaint: string;
}

interface Failure {
  readonly problem: string;
  readonly hint: string;
}

/** Why a program did not run, and what to install instead. The surest sign comes first. */
function explain(node: NodeRoot, path: string, { end, complaint }: Outcome): Failure {
  const wanted = machineOf(node.follow(path));
  const machine = SYSTEM_PROGRAMS.map((it) => machineOf(node.follow(it))).find((it) => it !== undefined);
  const isMusl = node.list("/lib").some((name) => name.startsWith("ld-musl-"));
  const build = `linux-${machine ?? wanted ?? "x64"}${isMusl ? "-musl" : ""}`;
  const hint = `install the build for ${build} with --binary FILE`;
  const code = end.kind === "exit" ? end.code : undefined;
  if (wanted !== undefined && machine !== undefined && wanted !== machine)
    return { problem: `it is built for ${wanted}, and the node is ${machine}`, hint };
  if (code === ILLEGAL_INSTRUCTION || (end.kind === "signal" && end.signal === "SIGILL"))
    return {
      problem: "the processor lacks an instruction that it needs",
      hint: "every x64 build needs SSE4.2, and none needs AVX: no build runs on this processor",
    };
  const [, glibc] = /GLIBC_([0-9.]+)'? not found/.exec(complaint) ?? [];
  if (glibc !== undefined)
    return {
      problem: `it needs glibc ${glibc}, and the node has an older one`,
      hint: "install a build that was made on a system with the node's glibc",
    };
  if (code === NOT_FOUND || end.kind === "not started")
    return isMusl
      ? { problem: "it needs glibc, and the node has musl", hint }
      : {
          problem: "the node lacks the loader of its C library",
          hint: "name a root file system with --root that has the node's system folders, or install a build for its C library",
        };
  if (code === CANNOT_RUN)
    return { problem: "the node cannot execute it: another format, or a folder mounted noexec", hint };
  const line = complaint.split("\n").find((it) => /[a-z]/i.test(it)) ?? "";
  return {
    problem: end.kind === "deadline" ? "it did not end in time" : line || "it printed no version",
    hint,
  };
}

/** What an executable is made for; undefined if the file is not an ELF executable. */
function machineOf(path: string): string | undefined {
  const header = Buffer.alloc(MACHINE_AT + 2);
  try {
    const fd = openSync(path, "r");
    try {
      readSync(fd, header, 0, header.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
  if (header.toString("latin1", 0, ELF_MAGIC.length) !== ELF_MAGIC) return undefined;
  return MACHINES.get(header.readUInt16LE(MACHINE_AT));
}
