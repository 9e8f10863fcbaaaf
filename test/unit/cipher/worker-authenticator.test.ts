import { expect, onTestFinished, test, vi } from "vitest";
import { CHUNK_BYTES } from "../../../src/cipher/authenticator.ts";
import { workerAuthenticator } from "../../../src/cipher/worker-authenticator.ts";
import { Secret } from "../../../src/secret.ts";

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
