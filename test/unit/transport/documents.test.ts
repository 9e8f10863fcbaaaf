import { expect, test } from "vitest";
import { parseIndex, parseManifest } from "../../../src/transport/documents.ts";

const DIGEST = `sha256:${"0".repeat(64)}`;
const descriptor = { mediaType: "a/b", digest: DIGEST, size: 1 };
const bytes = (value: unknown) => new Uint8Array(Buffer.from(JSON.stringify(value)));
const manifest = (parts: object) =>
  bytes({ schemaVersion: 2, config: descriptor, layers: [descriptor], ...parts });
const index = (...manifests: unknown[]) => bytes({ schemaVersion: 2, manifests });

test("a manifest keeps what it has", () => {
  const { value } = parseManifest(manifest({ artifactType: "x/y", "x.unknown": [1] }), "m");
  expect(value).toMatchObject({ artifactType: "x/y", "x.unknown": [1], layers: [descriptor] });
});

test("lists may be missing, as Go writes empty ones", () => {
  expect(parseManifest(manifest({ layers: null }), "m").value.layers).toEqual([]);
  expect(parseIndex(bytes({ schemaVersion: 2 }), "i").value.manifests).toEqual([]);
});

test.each([
  ["not JSON", new Uint8Array(Buffer.from("{"))],
  ["a list", bytes([])],
  ["no config", manifest({ config: undefined })],
  ["layers that are no list", manifest({ layers: {} })],
  ["a layer that is no object", manifest({ layers: ["x"] })],
  ["a negative size", manifest({ layers: [{ ...descriptor, size: -1 }] })],
  ["a fractional size", manifest({ layers: [{ ...descriptor, size: 1.5 }] })],
  [
    "a size beyond 2^53",
    new Uint8Array(Buffer.from(`{"config":{"mediaType":"a","digest":"${DIGEST}","size":9007199254740993}}`)),
  ],
  [
    "a digest that is a path",
    manifest({ layers: [{ ...descriptor, digest: "sha256:../../../etc/passwd" }] }),
  ],
  ["annotations that are no text", manifest({ annotations: { a: 1 } })],
  ["annotations that are a list", manifest({ config: { ...descriptor, annotations: ["a"] } })],
  ["a subject that is no descriptor", manifest({ subject: {} })],
])("a manifest with %s is malformed", (_, text) => {
  expect(() => parseManifest(text, "m")).toThrow(expect.objectContaining({ code: "BAD_IMAGE" }));
});

test("an index with a platform that is none is malformed", () => {
  expect(() => parseIndex(index({ ...descriptor, platform: { os: "linux" } }), "i")).toThrow(
    expect.objectContaining({ code: "BAD_IMAGE" }),
  );
});

test("1,024 layers or manifests are looked at, and of more not one", () => {
  // None of them is a descriptor.
  const nulls = (count: number) => Array.from({ length: count }, () => null);
  const failing = (code: string) => expect.objectContaining({ code });
  expect(() => parseManifest(manifest({ layers: nulls(1024) }), "m")).toThrow(failing("BAD_IMAGE"));
  expect(() => parseManifest(manifest({ layers: nulls(1025) }), "m")).toThrow(failing("LIMIT"));
  expect(() => parseIndex(index(...nulls(1024)), "i")).toThrow(failing("BAD_IMAGE"));
  expect(() => parseIndex(index(...nulls(1025)), "i")).toThrow(failing("LIMIT"));
});

test("a document of more than 131,072 values is not parsed", () => {
  const large = manifest({ more: Array(131_072).fill(0) });
  expect(() => parseManifest(large, "m")).toThrow("m has more than 131072 values");
});
