import { expect, test } from "vitest";
import { parseDigest } from "../../../src/spec/digest.ts";

const HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

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
