import { expect, test } from "vitest";
import { PAYLOAD_TYPE, parseAny } from "../../../src/containerd/payload.ts";
import { any, field, varint } from "../../support/payload.ts";

const message = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
const parsed = (bytes: Uint8Array<ArrayBuffer>) => {
  const { typeUrl, value } = parseAny(bytes);
  return { typeUrl, value: Buffer.from(value).toString() };
};

test("type and value", () => {
  expect(parsed(message(any(PAYLOAD_TYPE, Buffer.from("{}"))))).toEqual({
    typeUrl: PAYLOAD_TYPE,
    value: "{}",
  });
});

test("the order does not matter, the last of a field counts, others are ignored", () => {
  const bytes = message(
    field(2, Buffer.from("first")),
    field(9, Buffer.from("unknown")),
    varint(3 << 3),
    varint(77),
    field(2, Buffer.from("last")),
    field(1, Buffer.from("type")),
  );
  expect(parsed(bytes)).toEqual({ typeUrl: "type", value: "last" });
});

test("absent fields are empty", () => {
  expect(parsed(new Uint8Array())).toEqual({ typeUrl: "", value: "" });
});

test.each([
  ["a length beyond the end", Uint8Array.of(0x0a, 5, 1)],
  ["text", new Uint8Array(Buffer.from("{}"))],
  ["a field without content", Uint8Array.of(0x0a)],
])("%s is refused", (_what, bytes) => {
  expect(() => parseAny(bytes)).toThrow(expect.objectContaining({ code: "BAD_PAYLOAD" }));
});
