import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DecoderError } from "../../../../src/errors.ts";
import { readPackets } from "../../../../src/keywrap/pgp/framing.ts";
import { bytes, packet } from "./messages.ts";

const body = (length: number) => new Uint8Array(length).map((_, index) => index);

describe("packet headers of every form", () => {
  test.each([
    ["one octet of length, oldest form", [0x80 | (5 << 2), 3], 5, 3],
    ["two octets, oldest form", [0x81 | (5 << 2), 0x01, 0x02], 5, 258],
    ["four octets, oldest form", [0x82 | (5 << 2), 0, 0, 0x01, 0x00], 5, 256],
    ["one octet", [0xc0 | 18, 191], 18, 191],
    ["two octets, the shortest", [0xc0 | 18, 192, 0], 18, 192],
    ["two octets, the longest", [0xc0 | 18, 223, 255], 18, 8383],
    ["five octets", [0xc0 | 18, 255, 0, 0, 0x30, 0x00], 18, 0x3000],
  ])("%s", (_, header, tag, length) => {
    expect(readPackets(bytes(header, body(length)))).toEqual([{ tag, body: body(length) }]);
  });

  test("parts are joined", () => {
    const parts = bytes([0xc0 | 18, 0xe0], body(1), [0xe2], body(4), [0xe9], body(512), [2], body(2));
    expect(readPackets(parts)).toEqual([{ tag: 18, body: bytes(body(1), body(4), body(512), body(2)) }]);
  });

  test("one part and the end are joined", () => {
    const parts = bytes([0xc0 | 18, 0xe9], body(512), [2], body(2));
    expect(readPackets(parts)).toEqual([{ tag: 18, body: bytes(body(512), body(2)) }]);
  });

  test("one packet follows another", () => {
    expect(readPackets(bytes(packet(1, [7]), packet(10), packet(18, [8, 9])))).toEqual([
      { tag: 1, body: bytes([7]) },
      { tag: 10, body: bytes([]) },
      { tag: 18, body: bytes([8, 9]) },
    ]);
  });
});

describe("refused", () => {
  const refused = (data: Uint8Array<ArrayBuffer>) =>
    expect(() => readPackets(data)).toThrow(expect.objectContaining({ code: "BAD_PACKET" }));

  test("an octet that begins no packet", () => refused(bytes([0x7f])));
  test("a length to the end", () => refused(bytes([0x83 | (9 << 2)], new Uint8Array(8))));
  test("parts of a packet that is no data", () => refused(bytes([0xc0 | 1, 0xe1, 0, 0, 1, 0])));
  test("a length beyond the end", () => refused(bytes([0xc0 | 18, 255, 0xff, 0xff, 0xff, 0xff, 1])));
  test("more packets than any message has", () =>
    refused(bytes(new Uint8Array(2 * 16_385).map((_, i) => (i % 2 === 0 ? 0xca : 0)))));
  test("more parts than any message has", () =>
    refused(
      bytes(
        [0xc0 | 18],
        new Uint8Array(2 * 16_385).map((_, i) => (i % 2 === 0 ? 0xe0 : 1)),
        [0],
      ),
    ));

  test("a packet cut off anywhere", () => {
    const whole = bytes([0xc0 | 18, 0xe1], body(2), [0xff, 0, 0, 0, 3], body(3));
    expect(readPackets(whole)).toHaveLength(1);
    for (let length = 1; length < whole.length; length++) refused(whole.slice(0, length));
  });
});

test("whatever comes, it is read or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      try {
        const length = readPackets(bytes(data)).reduce((sum, it) => sum + it.body.length, 0);
        return length <= data.length;
      } catch (error) {
        return error instanceof DecoderError && error.code === "BAD_PACKET";
      }
    }),
    { numRuns: 2000 },
  );
});
