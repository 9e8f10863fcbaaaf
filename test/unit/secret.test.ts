import { inspect } from "node:util";
import { expect, test } from "vitest";
import { Secret } from "../../src/secret.ts";

const hidden = () => new Secret(new TextEncoder().encode("hunter2"));

test("no way of printing shows the bytes", () => {
  const printed = [
    String(hidden()),
    `${hidden()}`,
    JSON.stringify({ secret: hidden() }),
    inspect({ secret: hidden() }, { depth: 9, showHidden: true }),
    Object.values(hidden()).join(),
  ].join();
  expect(printed).not.toMatch(/hunter2|104|68756e746572/);
  expect(printed).toContain("[secret]");
});

test("destroy zeroes the bytes and ends all use", () => {
  const secret = hidden();
  const { bytes } = secret;
  expect(Buffer.from(bytes).toString()).toBe("hunter2");
  secret.destroy();
  expect(bytes).toEqual(new Uint8Array(7));
  expect(() => secret.bytes).toThrow(/^bug: /);
  expect(() => secret.destroy()).not.toThrow();
});
