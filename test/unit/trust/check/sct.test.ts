import { beforeAll, describe, expect, test } from "vitest";
import { TAG, writeElement } from "../../../../src/encoding/der.ts";
import { checkTimestamps } from "../../../../src/trust/check/sct.ts";
import { readTrustedRoot } from "../../../../src/trust/check/trusted-root.ts";
import { type Certificate, OID, parseCertificate } from "../../../../src/trust/check/x509.ts";
import { newKey, SIGNED_AT, Sigstore } from "../../../support/sigstore.ts";
import { trustFile } from "./demand.ts";

const MALFORMED = "its certificate's signed certificate timestamps (SCT) are malformed";
const NONE = "its certificate has no signed certificate timestamp (SCT) of a trusted certificate log";

const store = new Sigstore();
const leaf = parseCertificate(store.leaf(newKey().publicKey));
const issuer = parseCertificate(store.intermediateCertificate);
const { certificateLogs: logs } = readTrustedRoot(
  trustFile("root.json", JSON.stringify(store.trustedRoot())),
);

/** The leaf with this list of timestamps. */
function withList(list: Uint8Array): Certificate {
  const extension = leaf.extensions.get(OID.certificateTimestamps);
  if (extension === undefined) throw new Error("bug: the leaf has no timestamp");
  const value = writeElement(TAG.OCTET_STRING, list);
  const extensions = new Map(leaf.extensions).set(OID.certificateTimestamps, { ...extension, value });
  return { ...leaf, extensions };
}

/** What is wrong with this list; undefined if it counts. */
function problem(list: Uint8Array): string | undefined {
  try {
    checkTimestamps(withList(list), issuer, logs);
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ code: "UNTRUSTED" });
    return (error as Error).message;
  }
}

const uint16 = (value: number) => Uint8Array.of(value >> 8, value & 0xff);
const listOf = (...all: readonly Uint8Array[]) => {
  const each = all.flatMap((it) => [uint16(it.length), it]);
  const bytes = Buffer.concat(each);
  return Buffer.concat([uint16(bytes.length), bytes]);
};

describe("the timestamps in a certificate", () => {
  /** One timestamp: version 0, the log's ID to 33, the time to 41, no extensions to 43, hash, algorithm, length, signature. */
  let one: Buffer;
  beforeAll(() => {
    const value = leaf.extensions.get(OID.certificateTimestamps)?.value ?? new Uint8Array();
    // Two octets of DER's header, and the lengths of the list and of its only timestamp.
    one = Buffer.from(value.subarray(2 + 2 + 2));
  });

  test("count if one of them is of a trusted log", () => {
    expect(problem(listOf(one))).toBeUndefined();
    const other = Buffer.from(one);
    other[1] = (other[1] ?? 0) ^ 1;
    expect(problem(listOf(other, one))).toBeUndefined();
    expect(problem(listOf(one, other))).toBeUndefined();
    expect(problem(listOf(other))).toBe(NONE);
    expect(problem(listOf())).toBe(NONE);
  });

  test("do not count with any other byte", () => {
    const problems = [...one.keys()].map((i) => {
      const changed = Buffer.from(one);
      changed[i] = (changed[i] ?? 0) ^ 1;
      return problem(listOf(changed));
    });
    // The version, and the lengths of the extensions and of the signature.
    const structural = [0, 41, 42, 45, 46];
    expect(problems).toEqual([...one.keys()].map((i) => (structural.includes(i) ? MALFORMED : NONE)));
  });

  test("are malformed with any other length", () => {
    for (let length = 0; length < one.length; length++)
      expect(problem(listOf(one.subarray(0, length)))).toBe(MALFORMED);
    expect(problem(listOf(Buffer.concat([one, Buffer.alloc(1)])))).toBe(MALFORMED);
    const list = listOf(one);
    for (let length = 0; length < list.length; length++)
      expect(problem(list.subarray(0, length))).toBe(MALFORMED);
    expect(problem(Buffer.concat([list, Buffer.alloc(1)]))).toBe(MALFORMED);
    // The list's own length is right, and that of its timestamp is not.
    const cut = Buffer.concat([uint16(one.length + 1), uint16(one.length), one.subarray(1)]);
    expect(problem(cut)).toBe(MALFORMED);
  });

  test("without a signature are not malformed, and do not count", () => {
    expect(problem(listOf(Buffer.concat([one.subarray(0, 45), uint16(0)])))).toBe(NONE);
  });

  test("have extensions, which are signed", () => {
    const extended = Buffer.concat([one.subarray(0, 41), uint16(3), Buffer.from("abc"), one.subarray(43)]);
    expect(problem(listOf(extended))).toBe(NONE);
  });

  test("are of the time in which the log was trusted, with both its ends", () => {
    const counts = (start: number, end: number) => {
      try {
        checkTimestamps(
          withList(listOf(one)),
          issuer,
          logs.map((log) => ({ ...log, validity: { start, end } })),
        );
        return true;
      } catch {
        return false;
      }
    };
    expect(counts(SIGNED_AT, SIGNED_AT)).toBe(true);
    expect(counts(SIGNED_AT + 1, SIGNED_AT + 2)).toBe(false);
    expect(counts(SIGNED_AT - 2, SIGNED_AT - 1)).toBe(false);
  });
});
