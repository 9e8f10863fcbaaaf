import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type Keys, type LayerFiles, writeKeys, writeLayer } from "../../scripts/bench/inputs.ts";
import { describeWith, ours, run, strace } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const MIB = 1024 * 1024;
/** Reads and writes of 64 KiB each, and as many again for what memory does not hold: 64 calls for each MiB. */
const IO_PER_MIB = 66;
/** Each chunk of 64 KiB wakes a second thread. A loaded machine needs up to six calls for it, a spinning thread hundreds. */
const WAITS_PER_MIB = 192;
/** The start, the keys and the end take some hundred calls for any layer. */
const ALWAYS = 500;

const IO = ["read", "write", "pread64", "pwrite64", "readv", "writev", "preadv", "pwritev"];
const WAITS = ["futex", "epoll_wait", "epoll_pwait", "epoll_pwait2", "nanosleep", "clock_nanosleep", "poll"];
const MEMORY = ["mmap", "munmap", "madvise", "mprotect", "brk"];

describeWith([ours, strace], "system calls for a layer", {}, () => {
  const folder = temporaryFolder();
  let keys: Keys;

  beforeAll(async () => {
    keys = await writeKeys(join(folder, "keys"), "rsa");
  });

  test.each([16, 64, 128])("%i MiB take no more than they need", async (mebibytes) => {
    const counts = await count(mebibytes);
    const sum = (names: readonly string[]) => names.reduce((all, name) => all + (counts.get(name) ?? 0), 0);
    expect(sum(IO)).toBeGreaterThan(mebibytes);
    expect(sum(IO)).toBeLessThan(IO_PER_MIB * mebibytes + ALWAYS);
    expect(sum(WAITS)).toBeLessThan(WAITS_PER_MIB * mebibytes + ALWAYS);
    expect(sum(MEMORY)).toBeLessThan(4 * mebibytes + ALWAYS);
  });

  const BY_THE_RUNTIME =
    /^(?:\/usr)?\/lib\S*\/lib(?:c|m|dl|pthread)\.so\.\d+$|^\/etc\/(?:ld\.so\.\w+|localtime)$|^\/(?:proc\/(?:self|sys)|sys)\//;
  const OF_THE_CALLER = /^\/proc\/\d+\/(?:stat|comm|fd)$/;

  test.each([
    [[], true],
    [["--no-content-store"], false],
  ])("open only what SECURITY.md lists, with %j", async (flags, looksAtCaller) => {
    const layer = await writeLayer(join(folder, "opens"), 8 * MIB, keys.recipients);
    const log = join(folder, "calls");
    const calls = "trace=open,openat,execve,fork,vfork,socket,connect";
    await traced(layer, ["-f", "-qq", "-o", log, "-e", calls], ["--spool-dir", folder, ...flags]);
    const lines = readFileSync(log, "utf8");
    const opened = [...lines.matchAll(/ open(?:at)?\((?:AT_FDCWD, )?"([^"]+)"/g)].map(([, it = ""]) => it);
    const others = opened.filter((path) => !path.startsWith(keys.folder) && !BY_THE_RUNTIME.test(path));
    const ofTheCaller = others.filter((path) => OF_THE_CALLER.test(path));
    expect(ofTheCaller.length > 0).toBe(looksAtCaller);
    // The temporary file has no name.
    expect(others.filter((path) => path !== folder && !ofTheCaller.includes(path))).toEqual([]);
    expect(opened).toContain(keys.folder);
    const started = [...lines.matchAll(/ (execve|v?fork|socket|connect)\(/g)].map(([, name]) => name);
    expect(started).toEqual(["execve"]);
  });

  test("4 KiB end before JavaScript's engine starts a thread that prepares memory", async () => {
    const layer = await writeLayer(join(folder, "small"), 4096, keys.recipients);
    const lines = await tracedToPipe(layer, "prctl");
    const threads = [...lines.matchAll(/PR_SET_NAME, "([^"]+)"/g)].map(([, name]) => name);
    expect(threads).toContain("Bun Pool 0");
    expect(threads).not.toContain("JSCWarmUp");
  });

  test("WebCrypto's thread starts before the keys are read", async () => {
    const layer = await writeLayer(join(folder, "small"), 4096, keys.recipients);
    const lines = await tracedToPipe(layer, "clone,clone3,open,openat");
    const [thread, key] = [/ clone3?\(/.exec(lines)?.index, lines.indexOf(`"${keys.folder}`)];
    expect(key).toBeGreaterThan(0);
    expect(thread).toBeLessThan(key);
  });

  /** The calls of a decoder that writes to a pipe. */
  async function tracedToPipe(layer: LayerFiles, calls: string): Promise<string> {
    const log = join(folder, "calls");
    const script = `"$@" <"${layer.path}" 3<"${layer.payload}" | cat >/dev/null`;
    const env = { name: "env", command: "env", args: ["-i", "PATH=/usr/bin:/bin", "sh", "-c", script, "sh"] };
    const trace = [strace.command, ...strace.args, "-f", "-qq", "-o", log, "-e", `trace=${calls}`];
    const { stderr } = await run(env, [...trace, ours.command, "--decryption-keys-path", keys.folder]);
    expect(stderr).toBe("");
    return readFileSync(log, "utf8");
  }

  /** Uses files, because the amount that a pipe delivers at once is random. */
  async function count(mebibytes: number): Promise<ReadonlyMap<string, number>> {
    const layer = await writeLayer(join(folder, String(mebibytes)), mebibytes * MIB, keys.recipients);
    const summary = join(folder, "summary");
    await traced(layer, ["-f", "-c", "-U", "name,calls", "-o", summary]);
    const lines = readFileSync(summary, "utf8").matchAll(/^(\w+) +(\d+)$/gm);
    return new Map(Array.from(lines, ([, name = "", calls]) => [name, Number(calls)]));
  }

  async function traced(
    layer: LayerFiles,
    how: readonly string[],
    flags: readonly string[] = [],
  ): Promise<void> {
    const script = `exec "$@" <"${layer.path}" >/dev/null 3<"${layer.payload}"`;
    const shell = { name: "sh", command: "sh", args: ["-c", script, "sh", strace.command, ...strace.args] };
    const args = [...how, ours.command, "--decryption-keys-path", keys.folder, ...flags];
    const { exit, stderr } = await run(shell, args);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
  }
});
