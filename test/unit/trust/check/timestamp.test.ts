import { expect, test } from "vitest";
import { TAG, writeElement, writeInteger, writeOid } from "../../../../src/encoding/der.ts";
import { verifyTimestamp } from "../../../../src/trust/check/timestamp.ts";
import { readTrustedRoot } from "../../../../src/trust/check/trusted-root.ts";
import { derPlaces, EDITS } from "../../../support/der-edits.ts";
import { SIGNED_AT, Sigstore } from "../../../support/sigstore.ts";
import { trustFile } from "./demand.ts";

const store = new Sigstore();
const SIGNATURE = Buffer.from("a signature");
const TIMESTAMP = store.timestamp(SIGNATURE);
const { timestampAuthorities } = readTrustedRoot(trustFile("root.json", JSON.stringify(store.trustedRoot())));
const verify = (der: Uint8Array) => verifyTimestamp(der, SIGNATURE, timestampAuthorities);

const OUTCOMES = new Map([
  ["its timestamp is malformed", "malformed"],
  ["its timestamp is of another signature", "another"],
  ["its timestamp is not what the timestamp authority signed", "unsigned"],
  ["its timestamp is not from a trusted timestamp authority", "untrusted"],
]);

function outcome(der: Uint8Array): string {
  try {
    expect(verify(der)).toBe(SIGNED_AT);
    return "counts";
  } catch (error) {
    expect(error).toMatchObject({ code: "UNTRUSTED" });
    return OUTCOMES.get((error as Error).message) ?? String(error);
  }
}

/** What becomes of the timestamp by each edit → the places of that edit; malformed by every other one. */
function outcomes(der: Uint8Array<ArrayBuffer>, wrap = (it: Uint8Array<ArrayBuffer>) => it) {
  const found: Record<string, string> = {};
  for (const place of derPlaces(der))
    for (const [name, edit] of Object.entries(EDITS)) {
      const result = outcome(wrap(place.with(...edit(place.element))));
      if (result === "malformed") continue;
      const before = found[`${result} when ${name}`];
      found[`${result} when ${name}`] = before === undefined ? place.path : `${before} ${place.path}`;
    }
  return found;
}

test("a timestamp tells the time", () => {
  expect(verify(TIMESTAMP)).toBe(SIGNED_AT);
  expect(verify(store.timestamp(SIGNATURE, SIGNED_AT, store.stamper, { digest: "sha512" }))).toBe(SIGNED_AT);
});

// RFC 3161 and RFC 5652: 1.1.0 is the SignedData, 1.1.0.3.0 its SignerInfo.
test("a timestamp with another structure is malformed, but for what nothing depends on", () => {
  // The versions, the digest algorithms outside of the signature, and what follows the last part that is read.
  const counting = {
    "counts when removed": "1.1.0.1.0 1.1.0.1.0.0",
    "counts when retagged": "0 1.1.0.0 1.1.0.1 1.1.0.1.0 1.1.0.1.0.0 1.1.0.3.0.0 1.1.0.3.0.4",
    "counts when doubled":
      "0.0 1 1.1 1.1.0.1.0 1.1.0.1.0.0 1.1.0.2 1.1.0.2.1 1.1.0.3 1.1.0.3.0.1.1 1.1.0.3.0.2.0 1.1.0.3.0.4.0 1.1.0.3.0.5",
    "counts when emptied": "1.1.0.0 1.1.0.1 1.1.0.1.0 1.1.0.1.0.0 1.1.0.3.0.0",
  };
  const NAME = "1.1.0.3.0.1.0.0 1.1.0.3.0.1.0.0.0 1.1.0.3.0.1.0.0.0.0 1.1.0.3.0.1.0.0.0.1";
  expect(outcomes(TIMESTAMP)).toEqual({
    ...counting,
    "untrusted when removed": NAME,
    "untrusted when retagged": `1.1.0.3.0.1.0 ${NAME} 1.1.0.3.0.3.0 1.1.0.3.0.3.1`,
    "untrusted when doubled": NAME,
    "untrusted when emptied": `1.1.0.3.0.1.0 ${NAME} 1.1.0.3.0.1.1 1.1.0.3.0.5`,
    "unsigned when emptied": "1.1.0.3.0.3.1.1.0",
  });
});

test("a TSTInfo with another structure is malformed, and one with other content is not what was signed", () => {
  const content = derPlaces(TIMESTAMP).find(({ path }) => path === "1.1.0.2.1.0");
  if (content === undefined) throw new Error("bug: a timestamp has its content elsewhere");
  const wrap = (info: Uint8Array) => content.with(writeElement(TAG.OCTET_STRING, info));
  expect(outcome(wrap(content.element.content))).toBe("counts");
  expect(outcomes(content.element.content, wrap)).toEqual({
    "unsigned when retagged": "0 1 3",
    "unsigned when doubled": "2.0.0 2.1 4",
    "unsigned when emptied": "0 1 3",
    "another when emptied": "2.1",
  });
});

test.each([
  ["granted", Uint8Array.of(0), "counts"],
  ["granted with modifications", Uint8Array.of(1), "counts"],
  ["rejected", Uint8Array.of(2), "malformed"],
  ["of two bytes", Uint8Array.of(1, 0), "malformed"],
])("the status %s", (_what, status, expected) => {
  const [place] = derPlaces(TIMESTAMP);
  if (place === undefined) throw new Error("bug: a timestamp has no status");
  const info = writeElement(TAG.SEQUENCE, writeElement(TAG.INTEGER, status));
  expect(outcome(place.with(info))).toBe(expected);
});

test("of another signature, or by nobody who is trusted, it does not count", () => {
  expect(outcome(store.timestamp(Buffer.from("another")))).toBe("another");
  expect(outcome(new Sigstore().timestamp(SIGNATURE))).toBe("untrusted");
  expect(outcome(store.timestamp(SIGNATURE, SIGNED_AT, store.rekor))).toBe("untrusted");
  expect(outcome(new Uint8Array())).toBe("malformed");
});

test("an attribute that is there twice is malformed, and one of another type is passed over", () => {
  const SET = 0x31;
  const attribute = (oid: string, value: Uint8Array) =>
    writeElement(TAG.SEQUENCE, writeOid(oid), writeElement(SET, value));
  const withAttribute = (oid: string, value: Uint8Array) =>
    outcome(
      store.timestamp(SIGNATURE, SIGNED_AT, store.stamper, { moreAttributes: [attribute(oid, value)] }),
    );
  expect(withAttribute("2a03", writeInteger(Uint8Array.of(1)))).toBe("counts");
  expect(withAttribute("2a864886f70d010903", writeOid("2a03"))).toBe("malformed");
  expect(withAttribute("2a864886f70d010904", writeElement(TAG.OCTET_STRING))).toBe("malformed");
});
