import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { type HelperOptions, HelperProcess } from "../../../src/process/helper.ts";
import {
  contentLength,
  decodeMessage,
  encodeMessage,
  LENGTHS_BYTES,
  NO_BODY,
} from "../../../src/process/helper-message.ts";

const started: HelperProcess[] = [];
afterEach(() => Promise.all(started.splice(0).map((helper) => helper.stop())));

function start(name: string, options: Partial<HelperOptions> = {}): HelperProcess {
  const helper = new HelperProcess(name, {
    environment: { PATH: process.env["PATH"] },
    showErrors: false,
    ...options,
  });
  started.push(helper);
  return helper;
}

const load = { head: { op: "load", module: "/nowhere.so" }, body: NO_BODY };

describe("a helper process", () => {
  test("answers one question after the other", async () => {
    const helper = start("pkcs11-module");
    for (let i = 0; i < 3; i++) {
      expect(await helper.ask(load, 20_000)).toMatchObject({
        kind: "answer",
        head: { failure: expect.stringContaining("/nowhere.so") },
      });
    }
  });

  test("that ends says how, to every question", async () => {
    const helper = start("unknown");
    const end = { kind: "exit", code: 1 };
    expect(await helper.ask(load, 20_000)).toEqual(end);
    expect(await helper.ask(load, 20_000)).toEqual(end);
  });

  test("that is too slow is ended", async () => {
    const helper = start("pkcs11-module");
    expect(await helper.ask(load, 1)).toEqual({ kind: "deadline" });
    expect(await helper.ask(load, 20_000)).toEqual({ kind: "deadline" });
  });

  test.each([
    ["too long a message", "Buffer.alloc(8, 255)"],
    ["no JSON", "Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0x7b])"],
  ])("in which foreign code writes %s is ended, and is no exception", async (_what, bytes) => {
    const script = `import { writeSync } from "node:fs"; writeSync(3, ${bytes});`;
    const environment = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };
    const helper = start("pkcs11-module", { environment });
    expect(await helper.ask(load, 20_000)).toEqual({ kind: "garbled" });
    await helper.stop();
  });

  test("that can't be started is no exception", async () => {
    const environment = { LARGE: "x".repeat(4 * 1024 * 1024) };
    const helper = start("pkcs11-module", { environment });
    expect(await helper.ask(load, 20_000)).toMatchObject({ kind: "not started", cause: { code: "E2BIG" } });
    await helper.stop();
  });

  test("is stopped any time, and more than once", async () => {
    const helper = start("pkcs11-module");
    await helper.stop();
    expect(await helper.ask(load, 20_000)).toEqual({ kind: "signal", signal: "SIGKILL" });
    await helper.stop();
  });
});

describe("a message", () => {
  test.each([0, 1, 4096, 1_000_000])("keeps a head and a body of %i bytes", (length) => {
    const message = { head: { text: "ä\n", list: [1, null] }, body: new Uint8Array(randomBytes(length)) };
    const bytes = encodeMessage(message);
    const lengths = bytes.slice(0, LENGTHS_BYTES);
    const content = bytes.slice(LENGTHS_BYTES);
    expect(contentLength(lengths)).toBe(content.length);
    expect(decodeMessage(lengths, content)).toEqual(message);
  });

  test("that would be too long is refused before it is read", () => {
    const { buffer } = encodeMessage({ head: {}, body: NO_BODY });
    // The head has 2 bytes.
    new DataView(buffer).setUint32(4, 1_048_574);
    expect(contentLength(new Uint8Array(buffer))).toBe(1_048_576);
    new DataView(buffer).setUint32(4, 1_048_575);
    expect(() => contentLength(new Uint8Array(buffer))).toThrow("bug");
    new DataView(buffer).setUint32(4, 0xffffffff);
    expect(() => contentLength(new Uint8Array(buffer))).toThrow("bug");
  });
});
