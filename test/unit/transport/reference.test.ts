import { expect, test } from "vitest";
import { formatPlace, parsePlace, parseTarget } from "../../../src/transport/reference.ts";

test.each([
  ["oci:dir", { kind: "oci", path: "dir" }],
  ["oci:/a/b:1.0", { kind: "oci", path: "/a/b", tag: "1.0" }],
  ["oci:dir:a/b--c:d@e+f_g", { kind: "oci", path: "dir", tag: "a/b--c:d@e+f_g" }],
  ["oci-archive:a.tar:v1", { kind: "oci-archive", path: "a.tar", tag: "v1" }],
  ["oci-archive:-:v1", { kind: "oci-archive", path: "-", tag: "v1" }],
  [
    "docker-archive:a.tar:localhost:5000/x:y",
    { kind: "docker-archive", path: "a.tar", tag: "localhost:5000/x:y" },
  ],
  ["docker-archive:a.tar:@1", { kind: "docker-archive", path: "a.tar", tag: "@1" }],
  ["rootfs:/a:b", { kind: "rootfs", path: "/a:b" }],
  ["tar:-", { kind: "tar", path: "-" }],
  ["-", { kind: "oci-archive", path: "-" }],
])("%s", (text, place) => {
  expect(parsePlace(text)).toEqual(place);
});

test.each([
  "",
  "oci",
  "oci:",
  "oci::tag",
  "oci:dir:",
  "oci:-",
  "oci:dir:-tag",
  "oci:dir:a//b",
  "oci:dir:a b",
  `oci:dir:${"a".repeat(256)}`,
  "rootfs:",
  "docker://busybox",
  "constructor:x",
])("%j names no place", (text) => {
  expect(() => parsePlace(text)).toThrow(expect.objectContaining({ code: "USAGE" }));
});

test("only layouts and archives are written", () => {
  expect(parseTarget("oci:dir:x").path).toBe("dir");
  for (const text of ["docker-archive:a", "rootfs:a", "tar:a"]) {
    expect(() => parseTarget(text)).toThrow(expect.objectContaining({ code: "USAGE" }));
  }
});

test("a place is shown as it was written", () => {
  for (const text of ["oci:dir", "oci-archive:a:b", "rootfs:/a:b"]) {
    expect(formatPlace(parsePlace(text))).toBe(text);
  }
});
