import { expect, test } from "vitest";
import { TAG, writeElement, writeInteger } from "../../../../src/encoding/der.ts";
import { parseCertificate } from "../../../../src/trust/check/x509.ts";
import { certificate, newKey } from "../../../support/sigstore.ts";

const KEY = newKey();
const BOOLEAN = 0x01;
const TRUE = writeElement(BOOLEAN, Uint8Array.of(0xff));

/** A certificate with these basic constraints, or with none. */
const read = (...parts: readonly Uint8Array[]) => {
  const value = writeElement(TAG.SEQUENCE, ...parts);
  const extensions = [{ oid: "551d13", value, isCritical: true }];
  return parseCertificate(
    certificate({ subject: "a", issuer: "a", key: KEY.publicKey, signer: KEY.privateKey, extensions }),
  );
};

test("constraints without a flag are those of an end entity", () => {
  expect(read()).toMatchObject({ isCa: false, pathLength: 0 });
});

test.each([
  ["no length", [], Number.POSITIVE_INFINITY],
  ["the length 0", [writeInteger(Uint8Array.of(0))], 0],
  ["the length 3", [writeInteger(Uint8Array.of(3))], 3],
])("an authority's constraints with %s", (_, length, pathLength) => {
  expect(read(TRUE, ...length)).toMatchObject({ isCa: true, pathLength });
});

test.each([
  ["a flag that is false, which DER leaves out", [writeElement(BOOLEAN, Uint8Array.of(0))]],
  ["a flag that is true in BER only", [writeElement(BOOLEAN, Uint8Array.of(1))]],
  ["a length without a flag", [writeInteger(Uint8Array.of(3))]],
  ["a negative length", [TRUE, writeElement(TAG.INTEGER, Uint8Array.of(0x80))]],
  ["a length of two bytes", [TRUE, writeElement(TAG.INTEGER, Uint8Array.of(1, 0))]],
  ["an empty length", [TRUE, writeElement(TAG.INTEGER, new Uint8Array())]],
  ["a length of another type", [TRUE, writeElement(TAG.OCTET_STRING, Uint8Array.of(3))]],
])("a certificate is malformed with %s", (_, parts) => {
  expect(() => read(...parts)).toThrow("malformed certificate");
});
