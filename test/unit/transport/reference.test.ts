import { expect, test } from "vitest";
import {
  namesTransport,
  parseDestination,
  parseMaterial,
  parseSource,
} from "../../../src/transport/reference.ts";

const USAGE = expect.objectContaining({ code: "USAGE" });

test.each([
  ["oci:dir", false],
  ["oci:/a/b:1.0", false],
  ["oci:dir:a/b--c:d@e+f_g", false],
  ["oci-archive:a.tar:v1", false],
  ["oci-archive:-:v1", true],
  ["docker-archive:a.tar:localhost:5000/x:y", false],
  ["docker-archive:a.tar:@1", false],
  ["docker-archive:-", true],
  ["docker://reg.example:5000/a/b:1", false],
  [`docker://alpine@sha256:${"0".repeat(64)}`, false],
  ["-", true],
])("%s is an image, shown as it was written", (text, isPipe) => {
  for (const reference of [parseSource(text), parseMaterial(text)]) {
    expect(reference).toMatchObject({ kind: "image", text, isPipe });
  }
});

test.each([
  ["rootfs:/a:b", false],
  ["rootfs:-", false],
  ["tar:a:b", false],
  ["tar:-", true],
])("%s is files that an image is made of", (text, isPipe) => {
  expect(parseMaterial(text)).toMatchObject({ kind: "files", text, isPipe });
  expect(() => parseSource(text)).toThrow(USAGE);
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
  "docker:busybox",
  "docker:///busybox",
  "docker://Busy/Box:1:2",
  "docker://http://reg.example/app",
  "constructor:x",
])("%j does not name an image", (text) => {
  for (const parse of [parseSource, parseMaterial, parseDestination])
    expect(() => parse(text)).toThrow(USAGE);
});

test.each([
  ["127.0.0.1:5077/team/app:1.0", "docker://127.0.0.1:5077/team/app:1.0"],
  ["registry.example/app", "docker://registry.example/app"],
  ["app:1.0", undefined],
  ["./app", "oci:./app"],
  ["../app:1.0", "oci:../app:1.0"],
  ["/app.tar", "oci-archive:/app.tar"],
  ["layouts/app", undefined],
  ["registry.example/App", undefined],
  ["", undefined],
])("%j without a transport: %j is suggested", (text, meant) => {
  for (const parse of [parseSource, parseMaterial, parseDestination]) {
    const start =
      meant === undefined ? "^an? " : `^did you mean ${meant}\\? (?:an image|a destination) is oci:`;
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: "USAGE", hint: expect.stringMatching(start) }),
    );
  }
});

test("an image in a registry is shown with the tag that is meant", () => {
  expect(parseSource("docker://alpine").text).toBe("docker://alpine:latest");
});

test.each(["oci:dir", "oci:dir:tag", "oci-archive:a.tar"])("%s may have a digest, to be read", (name) => {
  const text = `${name}@sha256:${"0".repeat(64)}`;
  expect(parseSource(text).text).toBe(text);
  expect(() => parseDestination(text)).toThrow(USAGE);
});

test("a name for Docker has a tag and no digest", () => {
  expect(parseDestination("docker-archive:a:app").text).toBe("docker-archive:a:app");
  for (const name of ["App", "a:b:c", `app@sha256:${"0".repeat(64)}`]) {
    expect(() => parseDestination(`docker-archive:a:${name}`)).toThrow(USAGE);
  }
});

test("an image can't be written under a digest", () => {
  for (const name of ["alpine", "alpine:1"]) {
    expect(() => parseDestination(`docker://${name}@sha256:${"0".repeat(64)}`)).toThrow(USAGE);
  }
});

test("only layouts, archives and registries are written", () => {
  for (const text of ["oci:dir:x", "oci-archive:a", "docker-archive:a:b:1", "docker://a:1", "-"]) {
    const shown = text === "-" ? "oci-archive:-" : text;
    expect(parseDestination(text)).toMatchObject({ text: shown, isPipe: text === "-" });
  }
  for (const text of ["rootfs:a", "tar:a"]) {
    expect(() => parseDestination(text)).toThrow(USAGE);
  }
});

test("an image's transport is told from a name in containerd's store", () => {
  for (const text of ["oci:x", "oci-archive:x", "docker-archive:x"]) expect(namesTransport(text)).toBe(true);
  for (const text of ["docker.io/library/app:1", "rootfs:x", "oci"]) expect(namesTransport(text)).toBe(false);
});
