import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type CommandOptions, runCommand } from "../../../src/process/command.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const PATH = process.env["PATH"];
const DEFAULTS: CommandOptions = {
  input: new Uint8Array(),
  environment: { PATH },
  timeoutMs: 30_000,
  outputBytes: 100_000,
  errorBytes: 0,
};

async function run(path: string, args: readonly string[], options: Partial<CommandOptions> = {}) {
  const { end, output, errors } = await runCommand(path, args, { ...DEFAULTS, ...options });
  return { end, output: Buffer.from(output).toString(), errors: Buffer.from(errors).toString() };
}

const shell = (script: string, options: Partial<CommandOptions> = {}) =>
  run("/bin/sh", ["-c", script], options);

/** Process ids that a script left in a file. */
function pids(file: string): number[] {
  return readFileSync(file, "utf8").trim().split(/\s+/).map(Number);
}

/** Whether it runs; one that waits for its parent to take notice of its end doesn't. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** A signal takes effect when the kernel next looks at the process. */
async function untilGone(processes: readonly number[]): Promise<number[]> {
  let alive = processes.filter(isAlive);
  for (let round = 0; alive.length > 0 && round < 100; round++) {
    await sleep(20);
    alive = alive.filter(isAlive);
  }
  return alive;
}

test("input goes to stdin, stdout comes back", async () => {
  const input = Buffer.alloc(90_000, "request ");
  const { end, output } = await run("/bin/cat", [], { input });
  expect(end).toEqual({ kind: "exit", code: 0 });
  expect(output).toBe(input.toString());
});

test("a script may open /dev/stdin", async () => {
  const { output } = await run("/bin/cat", ["/dev/stdin"], { input: Buffer.from("request") });
  expect(output).toBe("request");
});

test("no shell sees the arguments", async () => {
  const { output } = await run("/bin/echo", ["$HOME;", "`id`", "a  b", ""]);
  expect(output).toBe("$HOME; `id` a  b \n");
});

test("the environment is the given one", async () => {
  const { output } = await run("/usr/bin/env", [], {
    environment: { PROVIDER_TOKEN: "t", ABSENT: undefined },
  });
  expect(output).toBe("PROVIDER_TOKEN=t\n");
});

test("exit code and signal are told apart", async () => {
  expect((await shell("exit 5")).end).toEqual({ kind: "exit", code: 5 });
  expect((await shell("kill -TERM $$")).end).toEqual({ kind: "signal", signal: "SIGTERM" });
});

test("a command need not read its input", async () => {
  const { end, output } = await shell("echo done", { input: Buffer.alloc(5_000_000) });
  expect(end).toEqual({ kind: "exit", code: 0 });
  expect(output).toBe("done\n");
});

describe("stderr", () => {
  test("goes nowhere by default", async () => {
    expect(await shell("echo no luck >&2; exit 5")).toEqual({
      end: { kind: "exit", code: 5 },
      output: "",
      errors: "",
    });
  });

  test("is kept up to the limit, and read on", async () => {
    const { end, errors } = await shell("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 3", {
      errorBytes: 100,
    });
    expect(end).toEqual({ kind: "exit", code: 3 });
    expect(errors).toBe("x".repeat(100));
  });
});

describe("what can't be started", () => {
  const file = join(folder, "file");
  writeFileSync(file, "no program");
  mkdirSync(join(folder, "directory"));
  const script = join(folder, "script");
  writeFileSync(script, "#!/nonexistent/interpreter\n", { mode: 0o755 });

  test.each([
    ["is missing", join(folder, "missing"), [], "ENOENT"],
    ["is not executable", file, [], "EACCES"],
    ["is a directory", join(folder, "directory"), [], "EACCES"],
    ["has no interpreter", script, [], "ENOENT"],
    ["has too long arguments", "/bin/true", ["x".repeat(4_000_000)], "E2BIG"],
  ])("%s", async (_what, path, args, code) => {
    const { end } = await run(path, args);
    expect(end).toMatchObject({ kind: "not started", cause: { code } });
  });
});

describe("nothing outlives it", () => {
  test("what it started is killed with it at the deadline", async () => {
    const file = join(folder, "deadline");
    const script = `sleep 1000 & echo $$ $! >${file}; wait`;
    expect((await shell(script, { timeoutMs: 1500 })).end).toEqual({ kind: "deadline" });
    const started = pids(file);
    expect(started).toHaveLength(2);
    expect(await untilGone(started)).toEqual([]);
  });

  test("a command that closed its stdout and runs on meets the deadline too", async () => {
    const file = join(folder, "closed");
    const script = `echo $$ >${file}; echo answer; exec sleep 1000 >&-`;
    expect((await shell(script, { timeoutMs: 1500 })).end).toEqual({ kind: "deadline" });
    expect(await untilGone(pids(file))).toEqual([]);
  });

  test("a command that never reads a long input meets the deadline", async () => {
    const { end } = await shell("exec sleep 1000", { timeoutMs: 1500, input: Buffer.alloc(5_000_000) });
    expect(end).toEqual({ kind: "deadline" });
  });

  test("one that writes too much is killed, and its children", async () => {
    const file = join(folder, "overflow");
    const script = `yes & echo $$ $! >${file}; wait`;
    const { end, output } = await shell(script, { outputBytes: 70_000 });
    expect(end).toEqual({ kind: "overflow" });
    expect(output).toBe("y\n".repeat(35_000));
    expect(await untilGone(pids(file))).toEqual([]);
  });

  test("output of exactly the limit is no overflow", async () => {
    const { end, output } = await shell("printf 0123456789", { outputBytes: 10 });
    expect(end).toEqual({ kind: "exit", code: 0 });
    expect(output).toBe("0123456789");
  });

  test("a process left behind with stdout open is killed, and the answer counts", async () => {
    const file = join(folder, "behind");
    const { end, output } = await shell(`sleep 1000 & echo $! >${file}; echo answer`);
    expect(end).toEqual({ kind: "exit", code: 0 });
    expect(output).toBe("answer\n");
    expect(await untilGone(pids(file))).toEqual([]);
  });

  test("one that left the group with stdout open is waited for until the deadline", async () => {
    const file = join(folder, "setsid");
    const script = `setsid sh -c 'echo $$ >${file}; exec sleep 1000' & until [ -s ${file} ]; do sleep 0.05; done; echo answer`;
    expect((await shell(script, { timeoutMs: 1500 })).end).toEqual({ kind: "deadline" });
    for (const pid of pids(file)) process.kill(pid, "SIGKILL");
  });
});
