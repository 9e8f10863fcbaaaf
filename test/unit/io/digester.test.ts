import { expect, test } from "vitest";
import { Digester, digestOf } from "../../../src/io/digester.ts";

const NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

test("the digest of nothing", () => {
  expect(digestOf(new Uint8Array())).toBe(`sha256:${NOTHING}`);
  expect(digestOf(new Uint8Array(), "sha512")).toMatch(/^sha512:cf83e1357eefb8bd/);
});

test("tap hashes what passes", async () => {
  const digester = new Digester();
  const passed: number[] = [];
  async function* chunks() {
    yield Uint8Array.of(1, 2);
    yield Uint8Array.of(3);
  }
  for await (const chunk of digester.tap(chunks())) passed.push(...chunk);
  expect(passed).toEqual([1, 2, 3]);
  expect(digester.digest()).toBe(digestOf(Uint8Array.of(1, 2, 3)));
});
