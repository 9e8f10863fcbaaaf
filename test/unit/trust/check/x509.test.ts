import { describe, expect, test } from "vitest";
import { TAG, writeElement, writeInteger } from "../../../../src/encoding/der.ts";
import { extendedKeyUsages, keyUsage, parseCertificate, readTime } from "../../../../src/trust/check/x509.ts";
import { derPlaces, EDITS } from "../../../support/der-edits.ts";
import {
  CODE_SIGNING,
  certificate,
  isCa,
  newKey,
  purpose,
  SIGNED_AT,
  TIME_STAMPING,
  usage,
} from "../../../support/sigstore.ts";

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

const words = (text: string) => text.split(" ");

describe("a certificate", () => {
  const spec = {
    ...{ subject: "subject", issuer: "issuer", key: KEY.publicKey, signer: KEY.privateKey },
    extensions: [isCa(), purpose(CODE_SIGNING)],
  };
  const der = certificate(spec);

  test("has these fields", () => {
    expect(parseCertificate(der)).toMatchObject({
      der,
      signatureAlgorithm: "2a8648ce3d040302",
      notBefore: SIGNED_AT - 1000,
      notAfter: SIGNED_AT + 600_000,
      spki: new Uint8Array(KEY.publicKey.export({ type: "spki", format: "der" })),
      isCa: true,
      pathLength: Number.POSITIVE_INFINITY,
    });
    const { subject, issuer, signature, extensions } = parseCertificate(der);
    expect([subject, issuer].map((it) => Buffer.from(it).toString("latin1").slice(-7))).toEqual([
      "subject",
      "\u0006issuer",
    ]);
    expect(signature[0]).toBe(TAG.SEQUENCE);
    expect([...extensions].map(([oid, { isCritical }]) => [oid, isCritical])).toEqual([
      ["551d13", true],
      ["551d25", false],
    ]);
  });

  // Names and keys are compared or read elsewhere, and the serial number is that of a timestamp's signer.
  test("is refused if a part that is read here is not what it must be", () => {
    const refused = Object.fromEntries(Object.keys(EDITS).map((name) => [name, [] as string[]]));
    for (const place of derPlaces(der))
      for (const [name, edit] of Object.entries(EDITS)) {
        try {
          parseCertificate(place.with(...edit(place.element)));
        } catch (error) {
          expect(error).toMatchObject({ code: "UNTRUSTED", message: "it has a malformed certificate" });
          refused[name]?.push(place.path);
        }
      }
    // 0: the signed part, with 0.2 the algorithm, 0.4 the times and 0.7 the extensions; 1: the algorithm; 2: the signature
    expect(refused).toEqual({
      removed: words(
        "0 0.0 0.1 0.2 0.2.0 0.3 0.4 0.4.0 0.4.1 0.7.0 0.7.0.0.0 0.7.0.0.2 0.7.0.1.0 0.7.0.1.1 1 1.0 2",
      ),
      retagged: words(
        "0 0.0 0.2 0.2.0 0.4.0 0.4.1 0.7.0 0.7.0.0 0.7.0.0.0 0.7.0.0.1 0.7.0.0.2 0.7.0.1 0.7.0.1.0 0.7.0.1.1 1 1.0 2",
      ),
      doubled: words(
        "0 0.0 0.1 0.2 0.2.0 0.3 0.4.0 0.4.1 0.7.0 0.7.0.0 0.7.0.0.0 0.7.0.0.1 0.7.0.0.2 0.7.0.1 0.7.0.1.0 0.7.0.1.1 1 1.0",
      ),
      emptied: words(
        "0 0.2 0.2.0 0.4 0.4.0 0.4.1 0.7 0.7.0.0 0.7.0.0.0 0.7.0.0.1 0.7.0.0.2 0.7.0.1 0.7.0.1.0 1 1.0 2",
      ),
    });
  });

  test("is refused with bytes before, after or missing", () => {
    for (const bytes of [
      der.slice(1),
      der.slice(0, -1),
      Buffer.concat([der, Buffer.alloc(1)]),
      Buffer.alloc(0),
    ])
      expect(() => parseCertificate(bytes)).toThrow("malformed certificate");
  });

  test("has purposes and usages, or none", () => {
    const withExtensions = (...extensions: typeof spec.extensions) =>
      parseCertificate(certificate({ ...spec, extensions }));
    const none = withExtensions();
    expect([extendedKeyUsages(none), keyUsage(none)]).toEqual([null, null]);
    const both = withExtensions(purpose(TIME_STAMPING), usage(0x80));
    expect([extendedKeyUsages(both), keyUsage(both)]).toEqual([new Set([TIME_STAMPING]), 0x80]);
    const malformed = withExtensions(
      { oid: "551d25", value: writeElement(TAG.OCTET_STRING) },
      { oid: "551d0f", value: writeElement(TAG.OCTET_STRING, Uint8Array.of(0, 0xff)) },
    );
    expect([extendedKeyUsages(malformed), keyUsage(malformed)]).toEqual([new Set(), 0]);
    const short = withExtensions({ oid: "551d0f", value: writeElement(TAG.BIT_STRING, Uint8Array.of(0)) });
    expect(keyUsage(short)).toBe(0);
  });
});

describe("a time", () => {
  const UTC = 0x17;
  const GENERALIZED = 0x18;
  const timeOf = (tag: number, text: string) => {
    const content = new Uint8Array(Buffer.from(text));
    return readTime({ tag, content, whole: content });
  };

  test.each<[number, string, string]>([
    [UTC, "490102030405Z", "2049-01-02T03:04:05Z"],
    [UTC, "500102030405Z", "1950-01-02T03:04:05Z"],
    [GENERALIZED, "20260102030405Z", "2026-01-02T03:04:05Z"],
    [GENERALIZED, "20260102030405.5Z", "2026-01-02T03:04:05.500Z"],
    [GENERALIZED, "20260102030405.123456789Z", "2026-01-02T03:04:05.123Z"],
  ])("of tag %i is read: %s", (tag, text, iso) => {
    expect(timeOf(tag, text)).toBe(Date.parse(iso));
  });

  test.each<[number, string]>([
    [UTC, "20260102030405Z"],
    [UTC, "2601020304Z"],
    [UTC, "260102030405+0000"],
    [UTC, "260102030405Zx"],
    [UTC, "x260102030405Z"],
    [GENERALIZED, "260102030405Z"],
    [GENERALIZED, "20260102030405"],
    [GENERALIZED, "20260102030405Zx"],
    [GENERALIZED, "x20260102030405Z"],
    [GENERALIZED, "20261302030405Z"],
    [GENERALIZED, "20260102030405.Z"],
    [GENERALIZED, "20260102030405.1234567890Z"],
    [0x0c, "20260102030405Z"],
  ])("of tag %i is not one: %s", (tag, text) => {
    expect(timeOf(tag, text)).toBeNaN();
  });
});
