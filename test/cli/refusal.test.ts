import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { describeWith, ours, root } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const MEDIA_TYPE = { STREAM_PROCESSOR_MEDIATYPE: "application/vnd.oci.image.layer.v1.tar+encrypted" };
const folder = temporaryFolder();

function fifo(name: string): { read: number; write: number } {
  const path = join(mkdtempSync(join(folder, "pipe-")), name);
  execFileSync("mkfifo", [path]);
  const both = openSync(path, constants.O_RDWR);
  const ends = { read: openSync(path, constants.O_RDONLY), write: openSync(path, constants.O_WRONLY) };
  closeSync(both);
  return ends;
}

/** Fills a pipe, so that the next write to it blocks. */
function fill(fd: number): void {
  const path = `/proc/self/fd/${fd}`;
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    for (;;) writeSync(writer, Buffer.alloc(4096));
  } catch {
    closeSync(writer);
  }
}

const childrenOf = ({ pid }: ChildProcess) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
const filesOf = (pid: string) =>
  Object.fromEntries(readdirSync(`/proc/${pid}/fd`).map((fd) => [fd, readlinkSync(`/proc/${pid}/fd/${fd}`)]));
/** proc(5): "R", "S", "Z" and so on; "" for a process that is gone. */
const stateOf = (pid: string) => (existsSync(`/proc/${pid}`) ? (/\) (\w)/.exec(statOf(pid))?.[1] ?? "") : "");
const statOf = (pid: string) => readFileSync(`/proc/${pid}/stat`, "latin1");
/** Processes that were started to keep a decoder's standard output open. */
const helpersOf = (decoder: string) =>
  readdirSync("/proc").filter(
    (pid) => /^\d+$/.test(pid) && commandOf(pid).endsWith(`\0linger\0${decoder}\0`),
  );

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}

async function until<T>(look: () => T, isIt: (seen: T) => boolean): Promise<T> {
  for (;;) {
    const seen = look();
    if (isIt(seen)) return seen;
    await sleep(10);
  }
}

/** Whether the process is blocked in a write to a pipe. */
const isWriting = ({ pid }: ChildProcess) => readFileSync(`/proc/${pid}/wchan`, "utf8").includes("pipe_");

describeWith([ours], "a decoder that refuses a layer", {}, () => {
  /** Starts a decoder that waits while it reports its failure. */
  async function failing(env: NodeJS.ProcessEnv): Promise<{
    child: ChildProcess;
    end: () => Promise<{ exit: number; stdout: string }>;
  }> {
    const [stdout, stderr, payload] = [fifo("stdout"), fifo("stderr"), fifo("payload")];
    fill(stderr.write);
    const child = spawn(ours.command, ["--no-journal"], {
      stdio: ["ignore", stdout.write, stderr.write, payload.read],
      env: { PATH: process.env["PATH"], ...env },
    });
    const exited = new Promise<number>((resolve) => child.on("exit", (code) => resolve(code ?? -1)));
    for (const fd of [stdout.write, stderr.write, payload.read]) closeSync(fd);
    writeSync(payload.write, "garbage");
    closeSync(payload.write);
    while (!isWriting(child)) await sleep(10);
    const end = async () => {
      const drained = read(stderr.read);
      const stdoutEnd = read(stdout.read);
      const exit = await exited;
      await drained;
      return { exit, stdout: await stdoutEnd };
    };
    return { child, end };
  }

  test("leaves a helper for containerd that holds its standard output and nothing else, and ends by itself", async () => {
    const { child, end } = await failing(MEDIA_TYPE);
    const helpers = childrenOf(child);
    expect(helpers).toHaveLength(1);
    const [helper = ""] = helpers;
    const [own, its] = [filesOf(String(child.pid)), filesOf(helper)];
    expect(its["1"]).toBe(own["1"]);
    const others = Object.entries(its).filter(([fd]) => fd !== "1");
    for (const [, target] of others) expect(target).not.toMatch(/^pipe:|\/(stdout|stderr|payload)$/);
    expect(readFileSync(`/proc/${helper}/environ`, "utf8")).toBe("");
    expect(await end()).toEqual({ exit: 1, stdout: "" });
    while (existsSync(`/proc/${helper}`)) await sleep(10);
  });

  test("leaves it until the exit status was collected", async () => {
    // The shell turns into a program that never collects it, so the decoder stays a zombie.
    const script = '"$0" --no-journal </dev/null 3</dev/null 2>/dev/null & exec sleep 1000';
    const parent = spawn("sh", ["-c", script, ours.command], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { PATH: process.env["PATH"], ...MEDIA_TYPE },
    });
    const [decoder = ""] = await until(
      () => childrenOf(parent),
      (pids) => pids.length === 1,
    );
    await until(
      () => stateOf(decoder),
      (state) => state === "Z",
    );
    const [helper = ""] = await until(
      () => helpersOf(decoder),
      (pids) => pids.length === 1,
    );
    // Much longer than 0.2 s, and much shorter than the longest wait.
    await sleep(600);
    expect(helpersOf(decoder)).toEqual([helper]);
    parent.kill();
    await until(
      () => helpersOf(decoder),
      (pids) => pids.length === 0,
    );
  });

  test("leaves no helper for another caller", async () => {
    const { child, end } = await failing({});
    expect(childrenOf(child)).toEqual([]);
    expect(await end()).toEqual({ exit: 1, stdout: "" });
  });
});

describeWith([ours, root], "the system's log", {}, () => {
  /** Calls the decoder where logger(1) is a script that writes its arguments to a file. */
  async function logged(env: NodeJS.ProcessEnv, ...args: string[]): Promise<string[] | undefined> {
    const place = mkdtempSync(join(folder, "logger-"));
    const [script, log, done] = [join(place, "logger"), join(place, "log"), join(place, "done")];
    writeFileSync(script, `#!/bin/sh\nprintf '%s\\n' "$@" >${log}\n: >${done}\n`, { mode: 0o755 });
    const command = `mount --bind ${script} "$(readlink -f /usr/bin/logger)"; "$0" "$@"; echo "exit $?"`;
    const stdout = execFileSync("unshare", ["--mount", "sh", "-c", command, ours.command, ...args], {
      env: { PATH: process.env["PATH"], ...env },
      stdio: ["ignore", "pipe", "ignore"],
      encoding: "utf8",
    });
    expect(stdout).toBe("exit 1\n");
    if (env["STREAM_PROCESSOR_MEDIATYPE"] === undefined || args.includes("--no-journal"))
      return existsSync(done) ? [] : undefined;
    while (!existsSync(done)) await sleep(10);
    return readFileSync(log, "utf8").trimEnd().split("\n");
  }

  test("has the refusal of a call by containerd, on one line", async () => {
    const line = await logged(MEDIA_TYPE, "--no-content-store");
    expect(line?.slice(0, 5)).toEqual(["-t", "ctd-decoder", "-p", "daemon.err", "--"]);
    expect(line?.[5]).toMatch(/^refused layer \(unknown\): NO_PAYLOAD: containerd passed no payload/);
    expect(line).toHaveLength(6);
  });

  describe("has nothing", () => {
    test("of another caller's", async () => {
      expect(await logged({}, "--no-content-store")).toBeUndefined();
    });

    test("with --no-journal", async () => {
      expect(await logged(MEDIA_TYPE, "--no-content-store", "--no-journal")).toBeUndefined();
    });
  });
});

async function read(fd: number): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of new Socket({ fd, readable: true, writable: false })) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
