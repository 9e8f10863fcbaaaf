import { expect, test } from "vitest";
import { FrameReader, MULTIPLEX, TTRPC } from "../../../../src/containerd/nri/framing.ts";

const MOST = 4 * 1024 * 1024;

test.each([
  ["ttrpc", TTRPC, 10, 0, MOST],
  ["the multiplexer", MULTIPLEX, 8, 4, MOST + 10],
])("a message of %s may have 4 MiB, and no more", (_protocol, framing, headerBytes, lengthAt, most) => {
  const push = (length: number) => {
    const header = Buffer.alloc(headerBytes);
    header.writeUInt32BE(length, lengthAt);
    return new FrameReader(framing).push(header);
  };
  // The rest of the message has not come yet.
  expect(push(most)).toEqual([]);
  expect(() => push(most + 1)).toThrow(expect.objectContaining({ code: "LIMIT" }));
});
