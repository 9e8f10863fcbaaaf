import { createCipheriv, randomBytes } from "node:crypto";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { readOnly, TAG, writeElement } from "../../../../src/encoding/der.ts";
import { CBC, readCbc } from "../../../../src/keywrap/pkcs7/content-cbc.ts";
import { OID, OPTIONS } from "./packets.ts";

const iv = new Uint8Array(randomBytes(16));
const parameters = readOnly(writeElement(TAG.OCTET_STRING, iv), TAG.OCTET_STRING) ?? undefined;

/** What comes out of a ciphertext made of `text` as it is, its padding included. */
function opened(oid: string, text: Uint8Array, change: (bytes: Uint8Array) => void = () => {}) {
  const algorithm = CBC.get(oid);
  if (algorithm === undefined) throw new Error(`${oid} is not in the table`);
  const key = new Uint8Array(randomBytes(algorithm.keyLength));
  const cipher = createCipheriv(algorithm.cipher, key, iv).setAutoPadding(false);
  const bytes = new Uint8Array(Buffer.concat([cipher.update(text), cipher.final()]));
  change(bytes);
  const options = readCbc(algorithm.cipher, parameters, bytes)(key);
  return options && Buffer.from(options.bytes).toString();
}

function padded(text: string): Buffer {
  const length = 16 - (text.length % 16);
  return Buffer.concat([Buffer.from(text), Buffer.alloc(length, length)]);
}

/** The options, with white space up to `rest` bytes beyond whole blocks. */
function upTo(rest: number): Buffer {
  return Buffer.from(OPTIONS.padEnd(16 * Math.ceil(OPTIONS.length / 16) + rest));
}

test.each([OID.aes128Cbc, OID.aes192Cbc, OID.aes256Cbc])("opens %s", (oid) => {
  expect(opened(oid, padded(OPTIONS))).toBe(OPTIONS);
  const filling = upTo(0).toString();
  expect(opened(oid, padded(filling))).toBe(filling);
});

describe("one answer, null, for", () => {
  test.each([
    ["a wrong key", randomBytes(96)],
    ["no JSON", padded("symkey")],
    ["JSON without a symkey", padded('{"cipheroptions":{}}')],
    ["a symkey of another length", padded('{"symkey":"c2hvcnQ="}')],
    ["a symkey that is no base64", padded(`{"symkey":"${"!".repeat(44)}"}`)],
    ["padding longer than a block", Buffer.concat([upTo(15), Buffer.alloc(17, 17)])],
    ["padding of different bytes", Buffer.concat([upTo(12), Buffer.of(4, 3, 4, 4)])],
  ])("%s", (_, text) => {
    expect(opened(OID.aes256Cbc, text)).toBeNull();
  });

  test("anything else, which is zeroed since it may be another secret", () => {
    const fill = vi.spyOn(Uint8Array.prototype, "fill");
    onTestFinished(() => fill.mockRestore());
    expect(opened(OID.aes256Cbc, padded("no JSON"))).toBeNull();
    expect(fill.mock.contexts).toContainEqual(new Uint8Array("no JSON".length));
  });

  test("a changed byte of the first block, which garbles it", () => {
    const garble = (bytes: Uint8Array) => bytes.fill((bytes[0] ?? 0) ^ 1, 0, 1);
    expect(opened(OID.aes256Cbc, padded(OPTIONS), garble)).toBeNull();
  });
});

test.each([
  ["no initialization vector", undefined, 32],
  ["a short one", writeElement(TAG.OCTET_STRING, new Uint8Array(8)), 32],
  ["no content", writeElement(TAG.OCTET_STRING, iv), 0],
  ["content that is no whole number of blocks", writeElement(TAG.OCTET_STRING, iv), 31],
])("%s is malformed, whatever the key", (_, der, length) => {
  const element = (der && readOnly(der, TAG.OCTET_STRING)) ?? undefined;
  expect(() => readCbc("aes-256-cbc", element, new Uint8Array(length))).toThrow(
    expect.objectContaining({ code: "BAD_PACKET" }),
  );
});
