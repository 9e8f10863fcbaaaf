import { expect, test } from "vitest";
import { Digester, digestOf } from "../../../src/io/digester.ts";
import { parseDigest } from "../../../src/spec/digest.ts";

const HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

test("the digest of nothing", () => {
  expect(digestOf(new Uint8Array())).toBe(`sha256:${HEX}`);
  expect(digestOf(new Uint8Array(), "sha512")).toMatch(/^sha512:cf83e1357eefb8bd/);
});

test("registered algorithms are parsed", () => {
  expect(parseDigest(`sha256:${HEX}`)).toEqual({ algorithm: "sha256", hex: HEX });
  expect(parseDigest(`sha512:${HEX}${HEX}`)).toEqual({ algorithm: "sha512", hex: HEX + HEX });
});

test.each([
  "",
  HEX,
  `sha256:${HEX.toUpperCase()}`,
  `sha256:${HEX}0`,
  `sha256:${HEX.slice(1)}`,
  `sha256:../../${HEX.slice(6)}`,
  `sha256:${HEX.slice(1)}\n`,
  `md5:${HEX.slice(32)}`,
  `sha512:${HEX}`,
  "__proto__:",
])("%j is no digest", (text) => {
  expect(parseDigest(text)).toBeUndefined();
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
