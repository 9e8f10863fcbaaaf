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

test("more jobs than threads are all done, and counted", async () => {
  const pool = new LayerPool(2);
  const jobs = Array.from({ length: 9 }, (_, i) => job(`job ${i}`));
  let bytes = 0;
  await Promise.all(jobs.map((it) => pool.run(it, (read) => (bytes += read))));
  await pool.close();
  expect(jobs.map(({ output }) => readFileSync(fileOf(output), "utf8"))).toEqual(
    jobs.map((_, i) => `job ${i}`),
  );
  expect(bytes).toBe("job 0".length * jobs.length);
});

test("an error keeps its code and message, and the thread goes on", async () => {
  const pool = new LayerPool(1);
  const digest = `sha256:${"0".repeat(64)}`;
  const failed = pool.run(job("x", digest), () => undefined);
  await expect(failed).rejects.toMatchObject({
    name: "DecoderError",
    code: "DIGEST_MISMATCH",
    message: expect.stringContaining(digest),
  });
  await expect(pool.run(job("y"), () => undefined)).resolves.toMatchObject({ size: 1 });
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
  const waiting = job("y");
  const queued = pool.run(waiting, () => undefined);
  await Promise.race([began.promise, running]);
  const closed = pool.close();
  await expect(running).rejects.toMatchObject({ code: "INTERRUPTED" });
  await expect(queued).rejects.toMatchObject({ code: "INTERRUPTED" });
  await closed;
  await expect(pool.run(job("z"), () => undefined)).rejects.toMatchObject({ code: "INTERRUPTED" });
  expect(existsSync(fileOf(waiting.output))).toBe(false);
});

test("one that was never used closes too", async () => {
  await expect(new LayerPool(3).close()).resolves.toBeUndefined();
});
