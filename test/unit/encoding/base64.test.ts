import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeBase64,
  decodeBase64Url,
  encodeBase64,
  encodeBase64Url,
} from "../../../src/encoding/base64.ts";

const text = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString();

describe("standard base64, as Go's StdEncoding takes it", () => {
  // RFC 4648 §10.
  test.each([
    ["", ""],
    ["Zg==", "f"],
    ["Zm8=", "fo"],
    ["Zm9v", "foo"],
    ["Zm9vYmFy", "foobar"],
    ["Zm9v\nYmFy", "foobar"],
    ["Zm9v\r\nYmFy\r\n", "foobar"],
    ["Z\nm8\n=", "fo"],
    ["Zh==", "f"], // Go ignores the bits that are left over
  ])("%j is %j", (encoded, decoded) => expect(text(decodeBase64(encoded))).toBe(decoded));

  test.each([
    "Zg",
    "Zg=",
    "Zg===",
    "Z",
    "Zm9v=",
    "Zm9v====",
    "=",
    "Zm 9v",
    "Zm9v\t",
    "Zm9v    ",
    "Zm 9 v  ",
    "    ",
    "\t\t\t\tZm9v",
    "Zm-_",
    "Zg==Zg==",
    "Zm9vé",
  ])("%j is none", (encoded) => expect(decodeBase64(encoded)).toBeNull());
});

describe("base64url without padding", () => {
  test.each([
    ["", ""],
    ["Zg", "f"],
    ["Zm8", "fo"],
    ["Zm9v", "foo"],
  ])("%j is %j", (encoded, decoded) => expect(text(decodeBase64Url(encoded))).toBe(decoded));

  test("uses - and _", () => expect(decodeBase64Url("-_-_")).toEqual(Uint8Array.of(0xfb, 0xff, 0xbf)));

  test.each(["Zg==", "Zm9vY", "Z", "Zm9v\n", "+/+/", "Zm 9v"])("%j is none", (encoded) =>
    expect(decodeBase64Url(encoded)).toBeNull(),
  );
});

test("every byte string comes back, in memory of its own", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const decoded of [decodeBase64(encodeBase64(bytes)), decodeBase64Url(encodeBase64Url(bytes))]) {
        expect(decoded).toEqual(bytes);
        expect(decoded?.buffer.byteLength).toBe(bytes.length);
      }
    }),
  );
});

test("a part of a buffer is encoded without the rest of it", () => {
  const part = Buffer.from("xfoox").subarray(1, 4);
  expect([encodeBase64(part), encodeBase64Url(part)]).toEqual(["Zm9v", "Zm9v"]);
});
