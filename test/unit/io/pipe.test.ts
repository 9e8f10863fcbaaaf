import { execFileSync } from "node:child_process";
import { getEventListeners } from "node:events";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PipeOutput, readPipe, stoppable } from "../../../src/io/pipe.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
let count = 0;

/** The two ends of a new pipe; the flags are for both. */
function pipe(flags = 0): { read: number; write: number } {
  const path = join(folder, String(count++));
  execFileSync("mkfifo", [path]);
  const both = openSync(path, constants.O_RDWR);
  const ends = {
    read: openSync(path, constants.O_RDONLY | flags),
    write: openSync(path, constants.O_WRONLY | flags),
  };
  closeSync(both);
  return ends;
}

async function collect(fd: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readPipe(fd, "the pipe")) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test.each([
  ["blocking", 0],
  ["non-blocking", constants.O_NONBLOCK],
])("a %s pipe takes and gives more than it holds", async (_, flags) => {
  const { read, write } = pipe(flags);
  const bytes = Buffer.alloc(1_000_000, "0123456789");
  const reading = collect(read);
  await new PipeOutput(write, "the pipe").write(bytes);
  closeSync(write);
  expect((await reading).equals(bytes)).toBe(true);
  closeSync(read);
});

test("a reader that went away is told as such", async () => {
  const { read, write } = pipe();
  closeSync(read);
  const written = new PipeOutput(write, "the pipe").write(Buffer.from("x"));
  await expect(written).rejects.toMatchObject({ code: "IO", cause: { code: "EPIPE" } });
  closeSync(write);
});

test("what is stopped ends at once, even while it waits", async () => {
  const { read, write } = pipe();
  writeSync(write, "first");
  const controller = new AbortController();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const chunk of stoppable(readPipe(read, "the pipe"), controller.signal)) {
      seen.push(Buffer.from(chunk).toString());
      setTimeout(() => controller.abort(), 10);
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: "INTERRUPTED" });
  expect(seen).toEqual(["first"]);
  closeSync(write);
});

test("what ended does not wait for the signal any more", async () => {
  const { signal } = new AbortController();
  async function* chunks() {
    yield Buffer.from("x");
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
  }
  for await (const chunk of stoppable(chunks(), signal)) expect(chunk.toString()).toBe("x");
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("what was stopped before gives nothing", async () => {
  async function* chunks() {
    yield Buffer.from("x");
  }
  const drain = async () => {
    for await (const chunk of stoppable(chunks(), AbortSignal.abort())) throw new Error(`got ${chunk}`);
  };
  await expect(drain()).rejects.toMatchObject({ code: "INTERRUPTED" });
});
