import { expect, test } from "vitest";
import { count, formatBytes, formatSeconds, shortDigest } from "../../../src/cli/units.ts";

test.each([
  [0, "0 bytes"],
  [1, "1 byte"],
  [1023, "1023 bytes"],
  [1024, "1.0 KiB"],
  [1_048_575, "1.0 MiB"],
  [104_805_171, "99.9 MiB"],
  [104_857_600, "100 MiB"],
  [5 * 1024 ** 3, "5.0 GiB"],
  [3000 * 1024 ** 4, "3000 TiB"],
])("%i bytes are %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test("times, counts and digests", () => {
  expect([0, 7.4, 61, 3600 + 62].map(formatSeconds)).toEqual(["0:00", "0:07", "1:01", "1:01:02"]);
  expect([count(1, "layer"), count(0, "layer"), count(2, "entry", "entries")]).toEqual([
    "1 layer",
    "0 layers",
    "2 entries",
  ]);
  expect(shortDigest(`sha256:${"0123456789abcdef".repeat(4)}`)).toBe("sha256:0123456789ab");
});
