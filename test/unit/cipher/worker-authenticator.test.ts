import { createHmac } from "node:crypto";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { CHUNK_BYTES } from "../../../src/cipher/authenticator.ts";
import { workerAuthenticator } from "../../../src/cipher/worker-authenticator.ts";
import { Output } from "../../../src/io/output.ts";
import { Secret } from "../../../src/secret.ts";
import { plainBytes } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

/** More chunks than the ring holds, so that the thread has to take some. */
const CHUNKS = 32;

test("a thread that has started and makes no progress for 60 seconds has died", () => {
  const wait = Atomics.wait as (cells: unknown, index: number, value: unknown) => "ok";
  const waits: (number | undefined)[] = [];
  let hasBegun = false;
  const spy = vi.spyOn(Atomics, "wait").mockImplementation((cells, index, value, milliseconds) => {
    waits.push(milliseconds);
    return hasBegun ? "timed-out" : wait(cells, index, value);
  });
  onTestFinished(() => spy.mockRestore());

  const authenticator = workerAuthenticator(new Secret(new Uint8Array(32)), {});
  onTestFinished(() => authenticator.close());
  const fill = () => {
    authenticator.buffer();
    authenticator.push(CHUNK_BYTES);
  };
  for (let i = 0; i < CHUNKS; i++) fill();
  hasBegun = true;
  expect(() => {
    for (;;) fill();
  }).toThrow(expect.objectContaining({ code: "IO", message: expect.stringContaining("has stopped") }));
  expect(waits.at(-1)).toBe(60_000);
});

const folder = temporaryFolder();
const KEY = new Uint8Array(32).fill(3);

/** An authenticator that has hashed one chunk, and will write to a file. */
function hashed(path: string) {
  const fd = openSync(path, "w");
  onTestFinished(() => closeSync(fd));
  const authenticator = workerAuthenticator(new Secret(KEY.slice()), {
    output: new Output(fd, "the plaintext"),
  });
  onTestFinished(() => authenticator.close());
  authenticator.buffer().fill(7);
  authenticator.push(CHUNK_BYTES);
  return { authenticator, hmac: authenticator.digest() };
}

test.each([0, 1, CHUNK_BYTES, 5 * CHUNK_BYTES + 1, 40 * CHUNK_BYTES])(
  "the thread that hashed writes %i bytes",
  async (length) => {
    const file = join(folder, `plaintext-${length}`);
    const { authenticator, hmac } = hashed(file);
    expect(hmac).toEqual(
      Uint8Array.from(createHmac("sha256", KEY).update(Buffer.alloc(CHUNK_BYTES, 7)).digest()),
    );
    const plaintext = plainBytes(length);
    const writer = authenticator.writer();
    for (let offset = 0; offset < length; offset += CHUNK_BYTES)
      await writer?.write(plaintext.subarray(offset, offset + CHUNK_BYTES));
    await writer?.finish?.();
    expect(readFileSync(file).equals(plaintext)).toBe(true);
  },
);

test.each([1, 40])("a write of it that fails is reported, after %i chunks", async (chunks) => {
  const writer = hashed("/dev/full").authenticator.writer();
  const written = async () => {
    for (let i = 0; i < chunks; i++) await writer?.write(new Uint8Array(CHUNK_BYTES));
    await writer?.finish?.();
  };
  await expect(written()).rejects.toMatchObject({
    code: "IO",
    message: "can't write the plaintext: no space left on the device",
    cause: { code: "ENOSPC" },
  });
});

test("without an output, it writes nothing", () => {
  const authenticator = workerAuthenticator(new Secret(KEY.slice()), {});
  onTestFinished(() => authenticator.close());
  authenticator.digest();
  expect(authenticator.writer()).toBeUndefined();
});
