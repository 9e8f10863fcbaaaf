import { expect, test } from "vitest";
import { readBer, readOctets } from "../../../src/encoding/ber.ts";
import { TAG, writeElement } from "../../../src/encoding/der.ts";

const BAD_PACKET = (message: RegExp) =>
  expect.objectContaining({ code: "BAD_PACKET", message: expect.stringMatching(message) });
/** [0] IMPLICIT OCTET STRING, in segments. */
const CONSTRUCTED_CONTENT = 0xa0;

/** Elements of indefinite length, one inside the other (X.690 §8.1.3.6). */
const nested = (depth: number) =>
  new Uint8Array(Buffer.concat([Buffer.alloc(2 * depth, Buffer.of(0x30, 0x80)), Buffer.alloc(2 * depth)]));

test("content has at most 4,096 segments", () => {
  const segment = writeElement(TAG.OCTET_STRING, Buffer.from("a"));
  const content = (segments: number) =>
    readOctets(readBer(writeElement(CONSTRUCTED_CONTENT, ...Array<Uint8Array>(segments).fill(segment))));
  expect(Buffer.from(content(4096)).toString()).toBe("a".repeat(4096));
  expect(() => content(4097)).toThrow(BAD_PACKET(/too many children/));
});

test("elements of indefinite length are nested at most 16 deep", () => {
  expect(readBer(nested(16)).whole).toHaveLength(64);
  expect(() => readBer(nested(17))).toThrow(BAD_PACKET(/nested too deep/));
});
