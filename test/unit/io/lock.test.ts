import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { FolderLock } from "../../../src/io/lock.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();
let count = 0;
let folder = base;
const scratch = (name: string) => {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
};
const lockFile = () => join(folder, ".ctd-decoder.lock");
/** Beyond what Linux gives. */
const DEAD = 2 ** 22 + 1;
const BOOT = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

/** A signal that is aborted when it is looked at for the third time, after the lock was looked at twice. */
function abortedLater(): AbortSignal {
  let looks = 0;
  const { signal } = new AbortController();
  Object.defineProperty(signal, "aborted", { get: () => ++looks > 2 });
  return signal;
}

beforeEach(() => {
  folder = join(base, String(count++));
  mkdirSync(folder);
});

test("one at a time has a folder", async () => {
  const first = await FolderLock.take(folder, scratch("a"));
  let isSecond = false;
  const second = FolderLock.take(folder, scratch("b")).then((lock) => {
    isSecond = true;
    return lock;
  });
  await first.check();
  expect(isSecond).toBe(false);
  await first.release();
  await (await second).release();
  expect(existsSync(lockFile())).toBe(false);
});

test.each([
  ["", `${hostname()} ${DEAD}`],
  [" from before a reboot", `${hostname()} ${DEAD} another-boot pid:[1]`],
  [
    " whose ID another process has",
    `${hostname()} ${process.pid} ${BOOT} ${readlinkSync("/proc/self/ns/pid")} 1`,
  ],
  [" of a Pod with another host name", `elsewhere ${DEAD} ${BOOT} ${readlinkSync("/proc/self/ns/pid")}`],
])("the lock of a dead process%s counts as none, even for several at once", async (_, text) => {
  writeFileSync(lockFile(), text);
  const inside: number[] = [];
  await Promise.all(
    ["a", "b", "c", "d"].map(async (name, i) => {
      const lock = await FolderLock.take(folder, scratch(name));
      inside.push(i);
      await lock.check();
      await lock.release();
    }),
  );
  expect(inside.sort()).toEqual([0, 1, 2, 3]);
});

test.each([
  ["of a live process", `${hostname()} ${process.pid}`],
  ["of another host", `elsewhere ${DEAD}`],
  ["of a Pod with PIDs of its own", `${hostname()} ${DEAD} ${BOOT} pid:[1]`],
])("the lock %s is waited for until the signal", async (_, text) => {
  writeFileSync(lockFile(), text);
  const waiting = FolderLock.take(folder, scratch("a"), abortedLater());
  await expect(waiting).rejects.toMatchObject({ code: "INTERRUPTED" });
  expect(readFileSync(lockFile(), "utf8")).toBe(text);
});

test("a folder that does not exist is not waited for", async () => {
  const taking = FolderLock.take(join(folder, "none"), scratch("a"), AbortSignal.abort());
  const message = `can't lock ${join(folder, "none")}: no such file or directory`;
  await expect(taking).rejects.toMatchObject({ code: "IO", message });
});

test("the lock of a live process that wrote when it started is waited for", async () => {
  const lock = await FolderLock.take(folder, scratch("a"));
  expect(readFileSync(lockFile(), "utf8")).toMatch(/ pid:\[\d+\] [1-9]\d*$/);
  const waiting = FolderLock.take(folder, scratch("b"), abortedLater());
  await expect(waiting).rejects.toMatchObject({ code: "INTERRUPTED" });
  await lock.release();
});

test("the lock of a live process is waited for a minute", async () => {
  writeFileSync(lockFile(), `${hostname()} ${process.pid}`);
  let now = 5_000;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
  onTestFinished(() => clock.mockRestore());
  let isWaiting = true;
  const waiting = FolderLock.take(folder, scratch("a")).finally(() => {
    isWaiting = false;
  });
  waiting.catch(() => undefined);
  /** Waits until the clock has been read anew. */
  const look = async () => {
    const before = clock.mock.calls.length;
    while (isWaiting && clock.mock.calls.length < before + 2) await nextTurn();
  };
  await look();
  now = 65_000;
  await look();
  expect(isWaiting).toBe(true);
  now = 65_001;
  await expect(waiting).rejects.toMatchObject({ code: "IO" });
});

test("what is done under the lock ends with it, also when it fails", async () => {
  const done = await FolderLock.during(folder, async () => readFileSync(lockFile(), "utf8"));
  expect(done).toMatch(new RegExp(`^${hostname()} ${process.pid} `));
  expect(readdirSync(folder)).toEqual([]);
  const failing = FolderLock.during(folder, () => Promise.reject(new Error("no")));
  await expect(failing).rejects.toThrow("no");
  expect(readdirSync(folder)).toEqual([]);
});

test("a lock that was taken away is noticed, and another's is left alone", async () => {
  const lock = await FolderLock.take(folder, scratch("a"));
  rmSync(lockFile());
  writeFileSync(lockFile(), "another");
  await expect(lock.check()).rejects.toMatchObject({ code: "IO" });
  await lock.release();
  expect(readFileSync(lockFile(), "utf8")).toBe("another");
});
