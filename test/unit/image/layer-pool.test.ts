import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { CopyJob } from "../../../src/image/layer-jobs.ts";
import { LayerPool } from "../../../src/image/layer-pool.ts";
import { digestOf } from "../../../src/io/digester.ts";
import { wholeFile } from "../../../src/transport/blob.ts";
import { fileOf } from "../../../src/transport/blob-output.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
let count = 0;

function job(text: string, digest = digestOf(Buffer.from(text))): CopyJob {
  const bytes = new Uint8Array(Buffer.from(text));
  const descriptor = { mediaType: "", digest, size: bytes.length };
  const output = { kind: "file", path: join(folder, String(count++)) } as const;
  return { kind: "copy", location: { kind: "memory", bytes }, name: "layer 0", descriptor, output };
}

/** Longer than a job that needs no thread. */
const long = (text: string) => text.repeat(64 * 1024 + 1);

test.each([
  ["large", long],
  ["small", (text: string) => text],
])("more %s jobs than threads are all done, and counted", async (_size, textOf) => {
  const pool = new LayerPool(2);
  const texts = Array.from({ length: 9 }, (_, i) => textOf(String(i)));
  const jobs = texts.map((text) => job(text));
  let bytes = 0;
  await Promise.all(jobs.map((it) => pool.run(it, (read) => (bytes += read))));
  await pool.close();
  expect(jobs.map(({ output }) => readFileSync(fileOf(output), "utf8"))).toEqual(texts);
  expect(bytes).toBe(textOf("0").length * jobs.length);
});

const SMALL = long("x").slice(1);
const LARGE = long("x");

test.each([
  ["a small job", 2, [SMALL], 0],
  ["a large job", 2, [LARGE], 1],
  ["two large jobs", 2, [LARGE, LARGE], 2],
  ["two large jobs of a pool of one", 1, [LARGE, LARGE], 0],
])("threads started by %s", async (_name, size, texts, expected) => {
  let threads = 0;
  const count = () => threads++;
  // Node publishes each new thread there.
  subscribe("worker_threads", count);
  onTestFinished(() => void unsubscribe("worker_threads", count));
  const pool = new LayerPool(size);
  await Promise.all(texts.map((text) => pool.run(job(text), () => undefined)));
  await pool.close();
  expect(threads).toBe(expected);
});

test.each([
  ["as many as large blobs", [SMALL.length, LARGE.length, LARGE.length], 8, 2],
  ["as many as allowed", [LARGE.length, LARGE.length, LARGE.length], 2, 2],
  ["one at least", [SMALL.length, SMALL.length], 8, 1],
])("a pool for blobs has threads: %s", (_name, sizes, threads, expected) => {
  expect(LayerPool.forBlobs(sizes, threads).size).toBe(expected);
});

test.each([
  ["large job on a thread", 2, long("x")],
  ["large job", 1, long("x")],
  ["small job", 1, "x"],
])("an error of a %s keeps its code and message, and the pool goes on", async (_size, size, text) => {
  const pool = new LayerPool(size);
  const digest = `sha256:${"0".repeat(64)}`;
  const failed = pool.run(job(text, digest), () => undefined);
  await expect(failed).rejects.toMatchObject({
    name: "DecoderError",
    code: "DIGEST_MISMATCH",
    message: expect.stringContaining(digest),
  });
  await expect(pool.run(job(text), () => undefined)).resolves.toMatchObject({ size: text.length });
  await pool.close();
});

test.each([1, 2])("closed, a pool of %d ends what is being done and begins nothing", async (size) => {
  const pool = new LayerPool(size);
  const sparse = join(folder, "sparse");
  writeFileSync(sparse, "");
  truncateSync(sparse, 2 ** 36);
  const endless: CopyJob = { ...job("x"), location: wholeFile(sparse, 2 ** 36) };
  const began = Promise.withResolvers<void>();
  const running = Array.from({ length: size }, () =>
    pool.run({ ...endless, output: job("x").output }, () => began.resolve()),
  );
  const waiting = job(long("y"));
  const queued = pool.run(waiting, () => undefined);
  await Promise.race([began.promise, ...running]);
  const results = Promise.allSettled([...running, queued]);
  await pool.close();
  const interrupted = { status: "rejected", reason: { code: "INTERRUPTED" } };
  expect(await results).toMatchObject(Array(size + 1).fill(interrupted));
  const small = job("z");
  await expect(pool.run(small, () => undefined)).rejects.toMatchObject({ code: "INTERRUPTED" });
  for (const { output } of [waiting, small]) expect(existsSync(fileOf(output))).toBe(false);
});

test("one that was never used closes too", async () => {
  await expect(new LayerPool(3).close()).resolves.toBeUndefined();
});
