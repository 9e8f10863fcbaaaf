import { once } from "node:events";
import { readdirSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { WORKER_BYTES } from "../../../src/cipher/authenticator.ts";
import { releaseLayer } from "../../../src/cipher/release.ts";
import { DecoderError } from "../../../src/errors.ts";
import { openBelow } from "../../support/descriptors.ts";
import { sha256 } from "../../support/images.ts";
import { encryptLayer, flipBit, plainBytes, release } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const KiB = 1024;
const LIMIT = 20 * KiB;
const WITHHELD = 64 * KiB;

const WAYS = [
  { way: "verified", release: "verified" },
  { way: "stream", release: "stream" },
] as const;
const SIZES = [0, 1, 15, 16, 17, LIMIT - 1, LIMIT, LIMIT + 1, WITHHELD, WITHHELD + 1, 2 * WITHHELD, 300_001];
/** Told such a size, a second thread authenticates, however long the layer is. */
const LARGE = WORKER_BYTES + 1;
/** Of one read; 1 only where it doesn't take too long. */
const chunksOf = (length: number) => [1, 15, 17, 64 * KiB].filter((chunk) => length / chunk <= 25_000);

describe.each(WAYS)("$way release", ({ release: way }) => {
  describe.each(SIZES)("of %i bytes", (length) => {
    const layer = encryptLayer(plainBytes(length));
    const told = [length, undefined, LARGE].flatMap((size) =>
      chunksOf(length).map((chunk) => ({ size, chunk })),
    );

    test.each(told)("size $size, read by $chunk", async ({ size, chunk }) => {
      const { ciphertext } = layer;
      const call = { ciphertext, options: layer.options(), chunk, release: way, spoolMemory: LIMIT };
      const released = await release(folder, size === undefined ? call : { ...call, size });
      expect(released.code).toBeUndefined();
      expect(released.written.equals(layer.plaintext)).toBe(true);
    });
  });

  test("a size below the layer's ends it early", async () => {
    for (const length of [LIMIT - 5, LIMIT + 5, 10 * LIMIT]) {
      const { ciphertext, plaintext, options } = encryptLayer(plainBytes(length));
      const released = await release(folder, {
        ciphertext,
        options: options(),
        size: length - 1,
        release: way,
        spoolMemory: LIMIT,
      });
      expect(released.code).toBe("SIZE_MISMATCH");
      const most = way === "stream" ? Math.max(0, length - WITHHELD) : 0;
      expect(released.written.length).toBeLessThanOrEqual(most);
      expect(released.written.equals(plaintext.subarray(0, released.written.length))).toBe(true);
    }
  });

  test("a size above the layer's is no reason to refuse what is authentic, and told when it is not", async () => {
    const { ciphertext, options, hmac } = encryptLayer(plainBytes(1000));
    const call = { ciphertext, size: 1001, release: way, spoolMemory: LIMIT };
    expect(await release(folder, { ...call, options: options() })).toMatchObject({ code: undefined });
    const forged = await release(folder, { ...call, options: options({ hmac: flipBit(hmac, 0) }) });
    expect(forged).toMatchObject({ code: "AUTHENTICATION", written: Buffer.alloc(0) });
    expect(forged.message).toContain("1000 of 1001 bytes");
  });

  test("another digest than the descriptor's is refused, the right one is not", async () => {
    for (const length of [1000, 10 * LIMIT]) {
      const { ciphertext, options } = encryptLayer(plainBytes(length));
      const call = { ciphertext, release: way, spoolMemory: LIMIT };
      const right = await release(folder, { ...call, options: options(), digest: sha256(ciphertext) });
      expect(right).toMatchObject({ code: undefined });
      expect(right.written.length).toBe(length);
      const other = await release(folder, { ...call, options: options(), digest: sha256(Buffer.of(1)) });
      expect(other.code).toBe("DIGEST_MISMATCH");
      expect(other.written.length).toBeLessThanOrEqual(way === "stream" ? Math.max(0, length - WITHHELD) : 0);
    }
  });
});

test("streaming withholds only the last 64 KiB and the chunk before them", async () => {
  const { ciphertext, options, hmac } = encryptLayer(plainBytes(300_001));
  const call = { ciphertext, chunk: 1000, spoolMemory: LIMIT, release: "stream" } as const;
  const forged = await release(folder, { ...call, options: options({ hmac: flipBit(hmac, 0) }) });
  expect(forged.code).toBe("AUTHENTICATION");
  expect(forged.written.length).toBeGreaterThanOrEqual(300_001 - 65_536 - 1000);
  expect(forged.written.length).toBeLessThanOrEqual(300_001 - 65_536);
});

test("streaming withholds no more than 64 KiB if the chunks before them are whole", async () => {
  const { ciphertext, options, hmac } = encryptLayer(plainBytes(4 * WITHHELD));
  const size = ciphertext.length;
  const call = { ciphertext, size, chunk: WITHHELD, spoolMemory: LIMIT, release: "stream" } as const;
  const forged = await release(folder, { ...call, options: options({ hmac: flipBit(hmac, 0) }) });
  expect(forged.written.length).toBe(3 * 65_536);
});

test.each([100, 2 * LIMIT])("an error of the audit log keeps a layer of %i bytes back", async (length) => {
  const { ciphertext, options } = encryptLayer(plainBytes(length));
  const told: number[] = [];
  const onAuthentic = (bytes: number) => {
    told.push(bytes);
    throw new DecoderError("AUDIT", "the disk is full");
  };
  const call = { ciphertext, options: options(), spoolMemory: LIMIT, onAuthentic };
  expect(await release(folder, call)).toMatchObject({ code: "AUDIT", written: Buffer.alloc(0) });
  expect(told).toEqual([length]);
});

test("a forged layer is an error, whatever its size", async () => {
  for (const length of [0, 100, 2 * LIMIT]) {
    const { ciphertext, options, hmac } = encryptLayer(plainBytes(length));
    const call = { ciphertext, options: options({ hmac: flipBit(hmac, 31) }), spoolMemory: LIMIT };
    expect(await release(folder, call)).toMatchObject({ code: "AUTHENTICATION", written: Buffer.alloc(0) });
  }
});

test("a digest that can't be checked is refused before anything is read", async () => {
  const { ciphertext, options } = encryptLayer(plainBytes(10));
  const released = await release(folder, { ciphertext, options: options(), digest: "md5:00" });
  expect(released).toMatchObject({ code: "BAD_DESCRIPTOR", written: Buffer.alloc(0) });
});

test("the memory of plaintext that was written is freed at once", async () => {
  const { ciphertext, options } = encryptLayer(plainBytes(300_001));
  const left = [ciphertext];
  const input = {
    size: ciphertext.length,
    read(buffer: Uint8Array) {
      const chunk = left.pop() ?? Buffer.alloc(0);
      buffer.set(chunk);
      return chunk.length;
    },
  };
  const written: Uint8Array[] = [];
  const sizes: number[] = [];
  const output = {
    write(piece: Uint8Array) {
      written.push(piece);
      sizes.push(piece.length);
    },
  };
  const policy = { mode: "verified", spoolMemory: 300_001, spoolDirectory: folder } as const;
  await releaseLayer({ input, output }, options(), { size: undefined, digest: undefined }, policy);
  expect(sizes).toEqual([131_072, 131_072, 37_857]);
  expect(written.map(({ length }) => length)).toEqual([0, 0, 0]);
});

test("a slow reader of plaintext is waited for, and its failure ends the release", async () => {
  const { ciphertext, options } = encryptLayer(plainBytes(5 * WITHHELD));
  let read = 0;
  const input = {
    size: undefined,
    read: (buffer: Uint8Array) => {
      const chunk = ciphertext.subarray(read, read + buffer.length);
      buffer.set(chunk);
      read += chunk.length;
      return chunk.length;
    },
  };
  const readAtWrite: number[] = [];
  const output = {
    write: async () => {
      readAtWrite.push(read);
      await setImmediate();
      expect(read).toBe(readAtWrite.at(-1));
      if (readAtWrite.length === 2) throw new DecoderError("IO", "the reader is gone");
    },
  };
  const policy = { mode: "stream", spoolMemory: WITHHELD - 1, spoolDirectory: folder } as const;
  const released = releaseLayer({ input, output }, options(), { size: undefined, digest: undefined }, policy);
  await expect(released).rejects.toMatchObject({ message: "the reader is gone" });
  expect(readAtWrite).toEqual([2 * WITHHELD, 3 * WITHHELD]);
});

test("a large layer leaves nothing behind, whether it is authentic or not", async () => {
  const layer = encryptLayer(plainBytes(2 * LIMIT));
  const call = { ciphertext: layer.ciphertext, spoolMemory: 10 };
  expect(await release(folder, { ...call, options: layer.options() })).toMatchObject({ code: undefined });
  const forged = { ...call, options: layer.options({ hmac: flipBit(layer.hmac, 9) }) };
  expect(await release(folder, forged)).toMatchObject({ code: "AUTHENTICATION" });
  expect(readdirSync(folder).sort()).toEqual(["ciphertext", "plaintext"]);
  expect(openBelow(folder)).toEqual([]);
});

test("the thread of a layer that can't be read to its end ends", async () => {
  const started = once(process, "worker");
  let reads = 0;
  const input = {
    size: undefined,
    read: (buffer: Uint8Array) => {
      if (reads++ === 3) throw new DecoderError("IO", "can't read it");
      return buffer.length;
    },
  };
  const policy = { mode: "verified", spoolMemory: 1 << 20, spoolDirectory: folder } as const;
  const output = { write: () => expect.fail("nothing is authentic") };
  const layer = encryptLayer(plainBytes(1000)).options();
  const released = releaseLayer({ input, output }, layer, { size: LARGE, digest: undefined }, policy);
  const [worker] = (await started) as [Worker];
  const exited = once(worker, "exit");
  await expect(released).rejects.toMatchObject({ code: "IO", message: "can't read it" });
  expect(await exited).toEqual([0]);
});
