import { describe, expect, test } from "vitest";
import { checkPredicate, readEnvelope, readStatement } from "../../../../src/trust/check/statement.ts";

const IN_TOTO = "application/vnd.in-toto+json";
const SIGN = "https://sigstore.dev/cosign/sign/v1";
const HEX = "ab".repeat(32);
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const base64 = (text: string) => Buffer.from(text).toString("base64");

describe("an envelope", () => {
  const ENVELOPE = { payloadType: "t", payload: base64("p"), signatures: [{ sig: base64("s") }] };

  test("has a payload and a signature", () => {
    expect(readEnvelope(json({ ...ENVELOPE, signatures: [{ keyid: "", sig: base64("s") }] }))).toEqual({
      payloadType: "t",
      payload: new Uint8Array(Buffer.from("p")),
      signature: new Uint8Array(Buffer.from("s")),
    });
  });

  test.each<[unknown, string]>([
    [null, "it has no payload"],
    [[], "it has no payload"],
    [{ ...ENVELOPE, payloadType: 1 }, "it has no payload"],
    [{ ...ENVELOPE, payload: undefined }, "it has no payload"],
    [{ ...ENVELOPE, signatures: {} }, "it does not have exactly one signature"],
    [{ ...ENVELOPE, signatures: [] }, "it does not have exactly one signature"],
    [{ ...ENVELOPE, signatures: ["s"] }, "it does not have exactly one signature"],
    [{ ...ENVELOPE, signatures: [{ sig: 1 }] }, "it does not have exactly one signature"],
    [{ ...ENVELOPE, signatures: [{ sig: "cw==" }, {}] }, "it does not have exactly one signature"],
    [{ ...ENVELOPE, payload: "*" }, "its payload or signature is not base64"],
    [{ ...ENVELOPE, signatures: [{ sig: "*" }] }, "its payload or signature is not base64"],
  ])("%j is malformed: %s", (value, problem) => {
    expect(() => readEnvelope(json(value))).toThrow(`its envelope is malformed: ${problem}`);
  });

  test("that is not JSON is malformed", () => {
    expect(() => readEnvelope(Buffer.from("{"))).toThrow(/^its envelope is malformed: /);
  });
});

describe("a statement", () => {
  const STATEMENT = {
    _type: "https://in-toto.io/Statement/v1",
    predicateType: SIGN,
    subject: [{ name: "a", digest: { sha256: HEX }, annotations: { b: "c" } }],
  };
  const read = (value: unknown, payloadType = IN_TOTO) =>
    readStatement({ payloadType, payload: json(value) }, HEX);

  test.each([
    ["of either version", { _type: "https://in-toto.io/Statement/v0.1" }],
    ["of several subjects", { subject: [null, {}, { digest: null }, ...STATEMENT.subject] }],
  ])("%s is about the subject with the digest", (_what, more) => {
    expect(read({ ...STATEMENT, ...more })).toEqual({
      predicateType: SIGN,
      subjectName: "a",
      annotations: { b: "c" },
    });
  });

  test.each([{}, { name: "", annotations: null }, { name: 1, annotations: ["b"] }])(
    "with the subject %j has no name and no annotations",
    (more) => {
      expect(read({ ...STATEMENT, subject: [{ digest: { sha256: HEX }, ...more }] })).toEqual({
        predicateType: SIGN,
        subjectName: undefined,
        annotations: {},
      });
    },
  );

  test.each<[unknown, string]>([
    [null, "its statement is of an unknown version"],
    [{ ...STATEMENT, _type: "https://in-toto.io/Statement/v2" }, "its statement is of an unknown version"],
    [{ ...STATEMENT, predicateType: 1 }, "its statement has no predicate type"],
    [{ ...STATEMENT, subject: {} }, "its statement's subject is malformed"],
    [{ ...STATEMENT, subject: [] }, "the subject of its statement is something else"],
    [
      { ...STATEMENT, subject: [{ digest: { sha256: 1 } }] },
      "the subject of its statement is something else",
    ],
    [{ ...STATEMENT, subject: [{ digest: { sha256: "cd" } }] }, "the subject of its statement is sha256:cd:"],
    [{ ...STATEMENT, subject: [{ digest: { sha512: HEX } }] }, "the digest does not match"],
  ])("%j does not count: %s", (value, problem) => {
    expect(() => read(value)).toThrow(problem);
  });

  test("in a payload of another type does not count", () => {
    expect(() => read(STATEMENT, "text/plain")).toThrow(
      'its payload is "text/plain", not an in-toto statement',
    );
  });
});

test("a signature is no attestation, and an attestation no signature", () => {
  const check = (predicateType: string, demand: Parameters<typeof checkPredicate>[1]) => () =>
    checkPredicate({ predicateType, subjectName: undefined, annotations: {} }, demand);
  const attestation = (predicateType?: string) => ({ kind: "attestation", predicateType }) as const;
  check(SIGN, { kind: "signature" })();
  check("a", attestation())();
  check("a", attestation("a"))();
  expect(check("a", { kind: "signature" })).toThrow(
    'an attestation of the predicate type "a", not a signature',
  );
  expect(check(SIGN, attestation())).toThrow("it is a signature, not an attestation");
  expect(check(SIGN, attestation(SIGN))).toThrow("it is a signature, not an attestation");
  expect(check("a", attestation("b"))).toThrow('its predicate type is "a", and "b" is demanded');
});
