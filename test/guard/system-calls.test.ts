import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type Keys, writeKeys, writeLayer } from "../../scripts/bench/inputs.ts";
import { describeWith, ours, run, strace } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const MIB = 1024 * 1024;
/** Reads and writes of 64 KiB each, and as many again for what memory does not hold: 64 calls for each MiB. */
const IO_PER_MIB = 66;
/** Above this size each chunk wakes a second thread. */
const WAITS_PER_MIB = 64;
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

  /** Uses files, because the amount that a pipe delivers at once is random. */
  async function count(mebibytes: number): Promise<ReadonlyMap<string, number>> {
    const layer = await writeLayer(join(folder, String(mebibytes)), mebibytes * MIB, keys.recipients);
    const summary = join(folder, "summary");
    const script = `exec "$@" <"${layer.path}" >/dev/null 3<"${layer.payload}"`;
    const traced = ["-f", "-c", "-U", "name,calls", "-o", summary, ours.command];
    const args = [...strace.args, ...traced, "--decryption-keys-path", keys.folder];
    const shell = { name: "sh", command: "sh", args: ["-c", script, "sh"] };
    const { exit, stderr } = await run(shell, [strace.command, ...args]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    const lines = readFileSync(summary, "utf8").matchAll(/^(\w+) +(\d+)$/gm);
    return new Map(Array.from(lines, ([, name = "", calls]) => [name, Number(calls)]));
  }
});
