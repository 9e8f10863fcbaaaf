import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DecoderError } from "../../../src/errors.ts";
import { formatName, formatWritten, parseName, referenceOf } from "../../../src/registry/name.ts";

const HEX = "0123456789abcdef".repeat(4);
const DIGEST = `sha256:${HEX}`;

describe("names of images in registries", () => {
  it.each([
    ["alpine", "docker.io", "library/alpine", "latest", undefined],
    ["alpine:3", "docker.io", "library/alpine", "3", undefined],
    ["ann/app", "docker.io", "ann/app", "latest", undefined],
    ["index.docker.io/alpine", "docker.io", "library/alpine", "latest", undefined],
    ["localhost/app", "localhost", "app", "latest", undefined],
    ["localhost:5000/app:v1", "localhost:5000", "app", "v1", undefined],
    ["Host/app", "Host", "app", "latest", undefined],
    ["reg.example/a/b_c/d--e", "reg.example", "a/b_c/d--e", "latest", undefined],
    ["[::1]:5000/app", "[::1]:5000", "app", "latest", undefined],
    [`reg.example/app@${DIGEST}`, "reg.example", "app", undefined, DIGEST],
    [`reg.example/app:v1@${DIGEST}`, "reg.example", "app", "v1", DIGEST],
    ["127.0.0.1:5000/app:V1.0_-x", "127.0.0.1:5000", "app", "V1.0_-x", undefined],
  ])("reads %s", (text, registry, repository, tag, digest) => {
    expect(parseName(text)).toEqual({ registry, repository, ...(tag && { tag }), ...(digest && { digest }) });
  });

  it.each([
    "",
    "/app",
    "app:",
    "app:v1:v2",
    "reg.example/App",
    "reg.example/app:.v1",
    "reg.example/app/",
    "reg.example//app",
    "reg.example/../app",
    "reg.example/a..b",
    "reg.example/a___b",
    "reg.example/-a",
    "reg.example:port/app",
    "reg.example:0/app",
    "reg.example:70000/app",
    "-reg.example/app",
    "[::::]/app",
    "999.1.1.1/app",
    "reg.123:5000/app",
    "http://reg.example/app",
    "https://reg.example/app",
    "user@reg.example/app",
    "reg.example/app@sha256:123",
    `reg.example/app@md5:${HEX}`,
    `reg.example/app@${DIGEST}@${DIGEST}`,
    "reg.example/app:v 1",
    "reg.example/app?x=1",
    "reg.example/app#x",
    "reg.example/äpp",
    `reg.example/${"a".repeat(250)}`,
    `reg.example/app:${"t".repeat(129)}`,
    "a".repeat(10_000),
  ])("refuses %j", (text) => {
    expect(() => parseName(text)).toThrow(expect.objectContaining({ code: "USAGE" }));
  });

  it("asks for the digest of a name that has both", () => {
    expect(referenceOf(parseName(`app:v1@${DIGEST}`))).toBe(DIGEST);
    expect(referenceOf(parseName("app"))).toBe("latest");
  });

  it.each([
    ["app", "app:latest"],
    ["app:v1", "app:v1"],
    ["localhost:5000/app", "localhost:5000/app:latest"],
    [`app@${DIGEST}`, `app@${DIGEST}`],
  ])("shows %s as it was written, with its tag", (text, shown) => {
    expect(formatWritten(text, parseName(text))).toBe(shown);
  });

  it("reads its own names again", () => {
    const part = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}$/);
    const host = fc.constantFrom(
      "docker.io",
      "reg.example",
      "localhost",
      "10.0.0.1:5000",
      "[fe80::1]:443",
      "Reg",
    );
    const name = fc.record({
      registry: host,
      repository: fc.array(part, { minLength: 2, maxLength: 4 }).map((parts) => parts.join("/")),
      tag: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,20}$/),
    });
    fc.assert(
      fc.property(name, (it) => {
        expect(parseName(formatName(it))).toEqual(it);
      }),
    );
  });

  it("reads or refuses any text, and what it reads is safe in a path", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => {
        try {
          const { repository, tag = "x", registry } = parseName(text);
          expect(repository).toMatch(/^[a-z0-9._/-]+$/);
          expect(repository).not.toMatch(/\.\.|\/\/|^\/|\/$/);
          expect(tag).toMatch(/^[\w.-]+$/);
          expect(new URL(`https://${registry}/v2/`).pathname).toBe("/v2/");
        } catch (error) {
          expect(error).toBeInstanceOf(DecoderError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
