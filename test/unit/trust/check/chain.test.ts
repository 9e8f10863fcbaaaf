import { describe, expect, test } from "vitest";
import { keyOf, verifyChain } from "../../../../src/trust/check/chain.ts";
import { OID, parseCertificate } from "../../../../src/trust/check/x509.ts";
import {
  type CertificateSpec,
  CODE_SIGNING,
  certificate,
  isCa,
  newKey,
  type Pair,
  purpose,
  SIGNED_AT,
  TIME_STAMPING,
  usage,
} from "../../../support/sigstore.ts";

const [DIGITAL_SIGNATURE, CERTIFICATE_SIGN] = [0x80, 0x04];
const ANY_PURPOSE = "551d2500";
const HOUR = 3_600_000;
const [ROOT, MIDDLE, LEAF] = [newKey(), newKey(), newKey()];

type Change = Partial<CertificateSpec>;
const make = (subject: string, issuer: string, [key, signer]: readonly [Pair, Pair], change: Change) =>
  parseCertificate(
    certificate({
      ...{ subject, issuer, key: key.publicKey, signer: signer.privateKey },
      ...{ notBefore: SIGNED_AT - HOUR, notAfter: SIGNED_AT + HOUR, extensions: [] },
      ...change,
    }),
  );
const CA = [isCa(), usage(CERTIFICATE_SIGN)];
const rootWith = (change: Change = {}) => make("root", "root", [ROOT, ROOT], { extensions: CA, ...change });
const middleWith = (change: Change = {}) =>
  make("middle", "root", [MIDDLE, ROOT], { extensions: CA, ...change });
const leafWith = (change: Change = {}) =>
  make("leaf", "middle", [LEAF, MIDDLE], { extensions: [purpose(CODE_SIGNING)], ...change });
const [root, middle, leaf] = [rootWith(), middleWith(), leafWith()];

interface Case {
  readonly leaf?: ReturnType<typeof parseCertificate>;
  readonly middle?: ReturnType<typeof parseCertificate>;
  readonly root?: ReturnType<typeof parseCertificate>;
  readonly time?: number;
  readonly mayHaveAnyPurpose?: boolean;
}

function outcome(change: Case = {}): string {
  const all = { leaf, middle, root, time: SIGNED_AT, ...change };
  const demand = { purpose: OID.codeSigning, intermediates: [all.middle], roots: [all.root], time: all.time };
  try {
    const path = verifyChain(all.leaf, {
      ...demand,
      ...(change.mayHaveAnyPurpose !== undefined && { mayHaveAnyPurpose: change.mayHaveAnyPurpose }),
    });
    expect(path).toEqual([all.middle, all.root]);
    return "it leads to the root";
  } catch (error) {
    expect(error).toMatchObject({ code: "UNTRUSTED" });
    return (error as Error).message;
  }
}

const LEADS = "it leads to the root";
const LEADS_NOT = "its certificate chain does not lead to a trusted root";

test("a chain leads from the issuer to the root", () => {
  expect(outcome()).toBe(LEADS);
  const direct = make("leaf", "root", [LEAF, ROOT], { extensions: [purpose(CODE_SIGNING)] });
  const demand = { purpose: OID.codeSigning, intermediates: [middle], roots: [root], time: SIGNED_AT };
  expect(verifyChain(direct, demand)).toEqual([root]);
});

describe("a leaf", () => {
  test.each<[string, Change, string]>([
    ["of an authority", { extensions: [isCa(), purpose(CODE_SIGNING)] }, "certificate authority's"],
    [
      "for another purpose",
      { extensions: [purpose(TIME_STAMPING)] },
      "extended key usage is not code signing",
    ],
    ["without a purpose", { extensions: [] }, "extended key usage is not code signing"],
    ["for any purpose", { extensions: [purpose(ANY_PURPOSE)] }, "extended key usage is not code signing"],
    [
      "for other usages",
      { extensions: [purpose(CODE_SIGNING), usage(0x7f)] },
      "key usage does not allow digital signatures",
    ],
    [
      "with a critical extension",
      { extensions: [purpose(CODE_SIGNING), { oid: "2a03", value: Uint8Array.of(5, 0), isCritical: true }] },
      "critical extension that is not understood",
    ],
    [
      "with constraints of names",
      { extensions: [purpose(CODE_SIGNING), { oid: "551d1e", value: Uint8Array.of(0x30, 0) }] },
      "critical extension that is not understood",
    ],
    ["by another key", { signer: ROOT.privateKey }, LEADS_NOT],
    ["of another issuer", { issuer: "other" }, LEADS_NOT],
  ])("%s is refused", (_what, change, message) => {
    expect(outcome({ leaf: leafWith(change) })).toContain(message);
  });

  test.each<[string, CertificateSpec["extensions"]]>([
    ["a usage for signatures", [purpose(CODE_SIGNING), usage(DIGITAL_SIGNATURE)]],
    [
      "an extension that is not critical",
      [purpose(CODE_SIGNING), { oid: "2a03", value: Uint8Array.of(5, 0) }],
    ],
    ["a purpose that is critical", [{ ...purpose(CODE_SIGNING), isCritical: true }]],
  ])("may have %s", (_what, extensions) => {
    expect(outcome({ leaf: leafWith({ extensions }) })).toBe(LEADS);
  });

  test("may have any purpose, or none, where that is allowed", () => {
    for (const extensions of [[], [purpose(ANY_PURPOSE)], [purpose(CODE_SIGNING)]])
      expect(outcome({ leaf: leafWith({ extensions }), mayHaveAnyPurpose: true })).toBe(LEADS);
    const other = leafWith({ extensions: [purpose(TIME_STAMPING)] });
    expect(outcome({ leaf: other, mayHaveAnyPurpose: true })).toContain("is not code signing");
  });

  test("for another purpose is named by what was asked for", () => {
    const demand = { purpose: OID.timeStamping, intermediates: [middle], roots: [root], time: SIGNED_AT };
    expect(() => verifyChain(leaf, demand)).toThrow("extended key usage is not timestamping");
  });
});

test("each certificate counts in whole seconds, from its first to its last", () => {
  const [before, after] = [SIGNED_AT - HOUR, SIGNED_AT + HOUR];
  const wide = { notBefore: before - HOUR, notAfter: after + HOUR };
  const others = { root: rootWith(wide), middle: middleWith(wide), leaf: leafWith(wide) };
  for (const [name, it] of Object.entries({ root, middle, leaf })) {
    const at = (time: number) => outcome({ ...others, [name]: it, time });
    const refused = name === "leaf" ? /was valid from/ : new RegExp(LEADS_NOT);
    expect([at(before), at(after + 999)]).toEqual([LEADS, LEADS]);
    expect(at(before - 1)).toMatch(refused);
    expect(at(after + 1000)).toMatch(refused);
  }
});

describe("an issuer", () => {
  const both: readonly ["root" | "middle", (change: Change) => ReturnType<typeof parseCertificate>][] = [
    ["root", rootWith],
    ["middle", middleWith],
  ];
  test.each<[string, CertificateSpec["extensions"]]>([
    ["of no authority", [usage(CERTIFICATE_SIGN)]],
    ["for no certificates", [isCa(), usage(0xfb)]],
    ["for another purpose", [...CA, purpose(TIME_STAMPING)]],
    ["with a critical extension", [...CA, { oid: "2a03", value: Uint8Array.of(5, 0), isCritical: true }]],
    ["with constraints of names", [...CA, { oid: "551d1e", value: Uint8Array.of(0x30, 0) }]],
  ])("%s is none", (_what, extensions) => {
    for (const [name, make] of both) expect(outcome({ [name]: make({ extensions }) })).toBe(LEADS_NOT);
  });

  test.each<[string, CertificateSpec["extensions"]]>([
    ["no usages", [isCa()]],
    ["the purpose", [...CA, purpose(CODE_SIGNING)]],
    ["any purpose", [...CA, purpose(ANY_PURPOSE)]],
  ])("may have %s", (_what, extensions) => {
    for (const [name, make] of both) expect(outcome({ [name]: make({ extensions }) })).toBe(LEADS);
  });

  test("may have a path length of as many authorities as there are below it", () => {
    const limited = (length: number) => ({ extensions: [isCa(length), usage(CERTIFICATE_SIGN)] });
    expect(outcome({ root: rootWith(limited(0)) })).toBe(LEADS_NOT);
    expect(outcome({ root: rootWith(limited(1)) })).toBe(LEADS);
    expect(outcome({ middle: middleWith(limited(0)) })).toBe(LEADS);
  });

  test("with a key that can't be used is none", () => {
    expect(outcome({ middle: middleWith({ key: newKey("secp256k1").publicKey }) })).toBe(LEADS_NOT);
  });

  test("of the same name as another is passed over if it did not sign", () => {
    const other = make("middle", "root", [newKey(), ROOT], { extensions: CA });
    const demand = {
      purpose: OID.codeSigning,
      intermediates: [other, middle],
      roots: [root],
      time: SIGNED_AT,
    };
    expect(verifyChain(leaf, demand)).toEqual([middle, root]);
    const stranger = make("root", "root", [newKey(), newKey()], { extensions: CA });
    expect(verifyChain(leaf, { ...demand, roots: [stranger, root] })).toEqual([middle, root]);
  });
});

test("certificates that sign each other lead nowhere", () => {
  const a = make("middle", "other", [MIDDLE, LEAF], { extensions: CA });
  const b = make("other", "middle", [LEAF, MIDDLE], { extensions: CA });
  const demand = { purpose: OID.codeSigning, intermediates: [a, b], roots: [root], time: SIGNED_AT };
  expect(() => verifyChain(leaf, demand)).toThrow(LEADS_NOT);
});

test("a certificate's key that can't be used is said to be its certificate's", () => {
  expect(keyOf(leaf).algorithm).toBe("ec");
  expect(() => keyOf(leafWith({ key: newKey("secp256k1").publicKey }))).toThrow(
    expect.objectContaining({
      code: "UNTRUSTED",
      message: "its certificate has a key on the unsupported curve secp256k1",
    }),
  );
});
