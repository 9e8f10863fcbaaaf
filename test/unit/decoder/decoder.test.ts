import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { startCryptoThread } from "../../../src/decoder/decoder.ts";

test("a failed early start of WebCrypto's thread is no error", async () => {
  // A spy would handle the rejection itself.
  const digested: number[] = [];
  const digest = (_name: string, { length }: Uint8Array) => {
    digested.push(length);
    return Promise.reject(new Error("no thread"));
  };
  vi.stubGlobal("crypto", { subtle: { digest } });
  onTestFinished(() => void vi.unstubAllGlobals());
  const onUnhandled = vi.fn();
  process.on("unhandledRejection", onUnhandled);
  onTestFinished(() => void process.off("unhandledRejection", onUnhandled));
  startCryptoThread();
  await nextTurn();
  expect(digested).toEqual([65]);
  expect(onUnhandled).not.toHaveBeenCalled();
});
