import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, constants, openSync, readFileSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { Input } from "../../../src/io/input.ts";
import { Output } from "../../../src/io/output.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const descriptors: number[] = [];
const children: ChildProcess[] = [];
let fifos = 0;

afterEach(() => {
  for (const fd of descriptors.splice(0)) closeSync(fd);
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

function open(path: string, flags: number): number {
  const fd = openSync(path, flags);
  descriptors.push(fd);
  return fd;
}

function fifo(): string {
  const path = join(folder, `fifo-${++fifos}`);
  execFileSync("mkfifo", [path]);
  return path;
}

/** Runs beside the test, which waits inside a read or write. */
function shell(script: string): ChildProcess {
  const child = spawn("sh", ["-c", script]);
  children.push(child);
  return child;
}

/** Replaces each wait by an action. Returns the lengths of the waits, in milliseconds. */
function insteadOfWaiting(act: (count: number) => void): number[] {
  const waits: number[] = [];
  const spy = vi.spyOn(Atomics, "wait").mockImplementation((_cells, _cell, _value, ms) => {
    act(waits.push(ms ?? Number.POSITIVE_INFINITY));
    return "timed-out";
  });
  onTestFinished(() => spy.mockRestore());
  return waits;
}

/** From 50 µs, each wait is twice the last one, up to 10 ms. */
const WAITS = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10];

const IO_ERROR = expect.objectContaining({ code: "IO" });

describe("Input", () => {
  test("fills what there is room for, and tells the end", () => {
    writeFileSync(join(folder, "file"), "0123456789");
    const input = new Input(open(join(folder, "file"), constants.O_RDONLY), "a file");
    const buffer = new Uint8Array(8);
    expect(input.read(buffer, 2, 3)).toBe(3);
    expect(input.fill(buffer.subarray(5))).toBe(3);
    expect(Buffer.from(buffer).toString()).toBe("\0\x00012345");
    expect(input.fill(buffer)).toBe(4);
    expect(input.fill(buffer)).toBe(0);
    expect(input.read(buffer)).toBe(0);
  });

  test("shows what comes without taking it", () => {
    writeFileSync(join(folder, "file"), "0123456789");
    const input = new Input(open(join(folder, "file"), constants.O_RDONLY), "a file");
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
    expect(text(input.peek(4))).toBe("0123");
    expect(text(input.peek(2))).toBe("01");
    expect(text(input.peek(6))).toBe("012345");
    const buffer = new Uint8Array(8);
    expect(input.read(buffer, 0, 3)).toBe(3);
    expect(text(input.peek(100))).toBe("3456789");
    expect(input.fill(buffer)).toBe(7);
    expect(text(buffer.subarray(0, 7))).toBe("3456789");
    expect(input.peek(1)).toHaveLength(0);
  });

  test.each([
    ["blocking", 0],
    ["non-blocking", constants.O_NONBLOCK],
  ])("waits for a %s pipe, whose bytes come one by one", (_kind, flags) => {
    const path = fifo();
    // Both ends, so that the pipe is no empty one while its writer starts.
    const fd = open(path, constants.O_RDWR | flags);
    shell(`sleep 0.05; for c in a b c; do printf $c; sleep 0.03; done > ${path}`);
    const buffer = new Uint8Array(3);
    expect(new Input(fd, "a pipe").fill(buffer)).toBe(3);
    expect(Buffer.from(buffer).toString()).toBe("abc");
  });

  test("waits longer while nothing comes, and briefly again after each read", () => {
    const fd = open(fifo(), constants.O_RDWR | constants.O_NONBLOCK);
    const input = new Input(fd, "a pipe");
    const waits = insteadOfWaiting((count) => count % WAITS.length === 0 && writeSync(fd, "a"));
    expect(input.fill(new Uint8Array(2))).toBe(2);
    expect(waits).toEqual([...WAITS, ...WAITS]);
  });

  test("what can't be read is named", () => {
    const input = new Input(open(folder, constants.O_RDONLY), "the input");
    expect(() => input.read(new Uint8Array(1))).toThrow(IO_ERROR);
    expect(() => input.read(new Uint8Array(1))).toThrow(/the input: it is a directory/);
  });
});

describe("Output", () => {
  const bytes = Buffer.alloc(300_000, "0123456789abcdef-");

  test.each([
    ["blocking", 0],
    ["non-blocking", constants.O_NONBLOCK],
  ])("writes all to a %s pipe, however slow its reader", async (_kind, flags) => {
    const path = fifo();
    const both = openSync(path, constants.O_RDWR);
    const fd = openSync(path, constants.O_WRONLY | flags);
    const sum = join(folder, `sum-${fifos}`);
    const child = shell(`(dd bs=1000 count=1 status=none; sleep 0.2; cat) < ${path} | sha256sum > ${sum}`);
    const ended = new Promise((resolve) => child.on("exit", resolve));
    new Output(fd, "a pipe").write(bytes);
    // The writer's ends are closed only when the reader has its own: it would wait for a writer for ever.
    closeSync(fd);
    closeSync(both);
    await ended;
    expect(readFileSync(sum, "utf8")).toContain(createHash("sha256").update(bytes).digest("hex"));
  });

  test("waits longer while the pipe is full, and briefly again after each write", () => {
    const fd = open(fifo(), constants.O_RDWR | constants.O_NONBLOCK);
    const output = new Output(fd, "a pipe");
    const drain = () => readSync(fd, new Uint8Array(65_536));
    const waits = insteadOfWaiting((count) => count % WAITS.length === 0 && drain());
    // A pipe holds 64 KiB (pipe(7)).
    output.write(new Uint8Array(3 * 65_536));
    expect(waits).toEqual([...WAITS, ...WAITS]);
  });

  test("nothing is a write too", () => {
    const output = new Output(open(join(folder, "none"), constants.O_CREAT | constants.O_WRONLY), "a file");
    output.write(new Uint8Array());
    expect(readFileSync(join(folder, "none")).length).toBe(0);
  });

  test("a full device is named", () => {
    const output = new Output(open("/dev/full", constants.O_WRONLY), "the output");
    expect(() => output.write(bytes)).toThrow(IO_ERROR);
    expect(() => output.write(bytes)).toThrow(/the output: no space left/);
  });

  test("a reader that went away shows in the cause", () => {
    const path = fifo();
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const output = new Output(open(path, constants.O_WRONLY), "a pipe");
    closeSync(reader);
    expect(() => output.write(bytes)).toThrow(
      expect.objectContaining({ code: "IO", cause: expect.objectContaining({ code: "EPIPE" }) }),
    );
  });
});
