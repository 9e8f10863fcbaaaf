import { describe, expect, test } from "vitest";
import { bitLength, mayBeFor, rsaSizeProblem, unpadPkcs1, withoutZeros } from "../../../src/keys/rsa.ts";

const message = Uint8Array.from({ length: 20 }, (_, index) => index);
const substitute = new Uint8Array(message.length).fill(0xee);

function block(padding: number, change: (block: Uint8Array) => void = () => {}): Uint8Array {
  const padded = Uint8Array.from([0, 2, ...new Array<number>(padding).fill(0x55), 0, ...message]);
  change(padded);
  return padded;
}

describe("PKCS#1 v1.5 padding", () => {
  test("padding of ones is right", () =>
    expect(
      unpadPkcs1(
        block(8, (it) => it.fill(1, 2, 10)),
        substitute,
      ),
    ).toEqual(message));

  test.each([8, 9, 100, 233])("with %i octets of padding the message is returned", (padding) =>
    expect(unpadPkcs1(block(padding), substitute)).toEqual(message),
  );

  test.each<[string, Uint8Array]>([
    ["seven octets of padding", block(7)],
    ["no octets at all", new Uint8Array()],
    ["a first octet that is not zero", block(100, (it) => it.fill(1, 0, 1))],
    ["the block type of signatures", block(100, (it) => it.fill(1, 1, 2))],
    ["a zero first in the padding", block(100, (it) => it.fill(0, 2, 3))],
    ["a zero last in the padding", block(100, (it) => it.fill(0, 101, 102))],
    ["no end of the padding", block(100, (it) => it.fill(0x55, 102, 103))],
    ["all of these", block(100, (it) => it.fill(0x77))],
  ])("with %s the substitute is returned", (_, padded) =>
    expect(unpadPkcs1(padded, substitute)).toEqual(substitute),
  );

  test("a message of another length than asked for is not returned", () => {
    for (const length of [19, 21]) {
      const other = new Uint8Array(length).fill(0xee);
      expect(unpadPkcs1(block(100), other)).toEqual(other);
    }
  });
});

test.each([
  ["smaller in its first octet", [199, 255], true],
  ["smaller in its last octet", [200, 99], true],
  ["the same number", [200, 100], false],
  ["larger in its last octet", [200, 101], false],
  ["larger in its first octet", [201, 0], false],
  ["shorter", [199], false],
  ["longer", [0, 199, 255], false],
])("a ciphertext may be for an RSA key: %s", (_what, ciphertext, isPossible) => {
  const modulus = Uint8Array.of(200, 100);
  expect(mayBeFor({ modulus } as Parameters<typeof mayBeFor>[0], Uint8Array.from(ciphertext))).toBe(
    isPossible,
  );
});

test.each([
  [[], [], 0],
  [[0, 0], [], 0],
  [[1], [1], 1],
  [[0, 0x80], [0x80], 8],
  [[0, 0, 1, 0], [1, 0], 9],
  [[0x7f, 0xff], [0x7f, 0xff], 15],
])("the number %j has the digits %j, and %i bits", (bytes, digits, bits) => {
  const magnitude = withoutZeros(Uint8Array.from(bytes));
  expect([...magnitude]).toEqual(digits);
  expect(bitLength(magnitude)).toBe(bits);
});

test.each([
  [2047, /^an RSA key of 2047 bits, fewer than the 2048 that RFC 7518 requires$/],
  [2048, null],
  [8192, null],
  [8193, /^an RSA key of 8193 bits, more than 8192$/],
])("a key of %i bits", (bits, problem) => {
  if (problem === null) expect(rsaSizeProblem(bits)).toBeNull();
  else expect(rsaSizeProblem(bits)).toMatch(problem);
});

test("a message of another length has other padding", () => {
  expect(unpadPkcs1(block(100), new Uint8Array(message.length - 1).fill(0xee))).toEqual(
    new Uint8Array(message.length - 1).fill(0xee),
  );
  expect(unpadPkcs1(block(8), substitute)).toEqual(message);
});
