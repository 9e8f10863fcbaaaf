import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { CopyJob } from "../../../src/image/layer-jobs.ts";
import { LayerPool } from "../../../src/image/layer-pool.ts";
import { digestOf } from "../../../src/spec/digester.ts";
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

test("only a large job starts a thread", async () => {
  let threads = 0;
  const count = () => threads++;
  // Node publishes each new thread there.
  subscribe("worker_threads", count);
  try {
    const pool = new LayerPool(2);
    await pool.run(job(long("x").slice(1)), () => undefined);
    expect(threads).toBe(0);
    await pool.run(job(long("x")), () => undefined);
    expect(threads).toBe(1);
    await pool.close();
  } finally {
    unsubscribe("worker_threads", count);
  }
});

test.each([
  ["large", long("x")],
  ["small", "x"],
])("an error of a %s job keeps its code and message, and the pool goes on", async (_size, text) => {
  const pool = new LayerPool(1);
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

test("closed, it ends what is being done and begins nothing", async () => {
  const pool = new LayerPool(1);
  const sparse = join(folder, "sparse");
  writeFileSync(sparse, "");
  truncateSync(sparse, 2 ** 36);
  const endless: CopyJob = { ...job("x"), location: wholeFile(sparse, 2 ** 36) };
  const began = Promise.withResolvers<void>();
  const running = pool.run(endless, () => began.resolve());
  const waiting = job(long("y"));
  const queued = pool.run(waiting, () => undefined);
  await Promise.race([began.promise, running]);
  const closed = pool.close();
  await expect(running).rejects.toMatchObject({ code: "INTERRUPTED" });
  await expect(queued).rejects.toMatchObject({ code: "INTERRUPTED" });
  await closed;
  const small = job("z");
  await expect(pool.run(small, () => undefined)).rejects.toMatchObject({ code: "INTERRUPTED" });
  for (const { output } of [waiting, small]) expect(existsSync(fileOf(output))).toBe(false);
});

test("one that was never used closes too", async () => {
  await expect(new LayerPool(3).close()).resolves.toBeUndefined();
});
