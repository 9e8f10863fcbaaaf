import { expect, test } from "vitest";
import { describeRequirement } from "../../../src/trust/describe.ts";
import type { CertificateAuthority, Requirement, Signer } from "../../../src/trust/requirement.ts";
import { decidedWithoutSignatures, filesOfLeaf, leavesOf } from "../../../src/trust/requirement-tree.ts";
import { demand, trustFile } from "./check/demand.ts";

const ACCEPT: Requirement = { kind: "accept" };
const REJECT: Requirement = { kind: "reject" };
const [ann, bob, eve] = ["ann", "bob", "eve"].map((label) =>
  demand({ label, signer: { kind: "keys", keys: [trustFile(`${label}.pub`, "")] } }),
) as [Requirement, Requirement, Requirement];
const allOf = (...of: readonly Requirement[]): Requirement => ({ kind: "all-of", of });
const anyOf = (...of: readonly Requirement[]): Requirement => ({ kind: "any-of", of });

test.each<[string, Requirement, boolean | undefined]>([
  ["accept", ACCEPT, true],
  ["reject", REJECT, false],
  ["a signature", ann, undefined],
  ["all of none", allOf(), false],
  ["any of none", anyOf(), false],
  ["all of accept", allOf(ACCEPT, ACCEPT), true],
  ["all of accept and reject", allOf(ACCEPT, REJECT), false],
  ["all of accept and a signature", allOf(ACCEPT, ann), undefined],
  ["all of a signature and reject", allOf(ann, REJECT), false],
  ["any of reject", anyOf(REJECT, REJECT), false],
  ["any of accept and reject", anyOf(REJECT, ACCEPT), true],
  ["any of a signature and reject", anyOf(ann, REJECT), undefined],
  ["any of a signature and accept", anyOf(ann, ACCEPT), true],
  ["all of any", allOf(anyOf(ACCEPT, ann), anyOf(REJECT, ACCEPT)), true],
])("%s, without a look at signatures", (_what, requirement, expected) => {
  expect(decidedWithoutSignatures(requirement)).toBe(expected);
});

const TREE = allOf(ann, anyOf(ACCEPT, bob, allOf(REJECT, eve)));

test("every leaf is found, in order", () => {
  expect([...leavesOf(TREE)]).toEqual([ann, bob, eve]);
  expect([...leavesOf(ACCEPT)]).toEqual([]);
});

test("a tree is described by one line each", () => {
  expect(describeRequirement(TREE)).toEqual([
    "all of",
    "  signed: ann",
    "  any of",
    "    accepted without a signature",
    "    signed: bob",
    "    all of",
    "      rejected",
    "      signed: eve",
  ]);
});

test.each<[string, Signer, readonly string[]]>([
  ["keys", { kind: "keys", keys: [trustFile("a", ""), trustFile("b", "")] }, ["a", "b"]],
  ["keyrings", { kind: "gpg", keyrings: [trustFile("a", "")] }, ["a"]],
  ["a pinned certificate", { kind: "pinned-certificate", certificates: [trustFile("a", "")] }, ["a"]],
  [
    "a pinned certificate with its chain",
    { kind: "pinned-certificate", certificates: [trustFile("a", "")], chain: trustFile("b", "") },
    ["a", "b"],
  ],
  ["a trusted root", by({ kind: "trusted-root" }), []],
  ["Fulcio", by({ kind: "fulcio", roots: trustFile("a", "") }), ["a"]],
  ["an authority", by({ kind: "pki", roots: trustFile("a", "") }), ["a"]],
  [
    "an authority with intermediates",
    by({ kind: "pki", roots: trustFile("a", ""), intermediates: trustFile("b", "") }),
    ["a", "b"],
  ],
])("a leaf by %s depends on these files, its logs' keys and its trusted root", (_what, signer, names) => {
  const log = { need: "required", keys: [trustFile("log", "")] } as const;
  const namesOf = (leaf: Parameters<typeof filesOfLeaf>[0]) => filesOfLeaf(leaf).map(({ name }) => name);
  expect(namesOf(demand({ signer, log }))).toEqual(["log", ...names]);
  const trustedRoot = trustFile("root", "");
  expect(namesOf(demand({ signer, log, trustedRoot }))).toEqual(["root", "log", ...names]);
});

function by(authority: CertificateAuthority): Signer {
  return { kind: "certificate", identity: { subjects: [] }, authority };
}
