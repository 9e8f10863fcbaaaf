import { expect, test } from "vitest";
import { parseImageName } from "../../../../src/trust/policy/image-name.ts";
import { readKubewardenSettings } from "../../../../src/trust/policy/kubewarden.ts";
import type { SignedBy } from "../../../../src/trust/requirement.ts";
import { LEAF as USUAL } from "../check/demand.ts";

const ROOT = { name: "root.json", bytes: new Uint8Array() };
const SETTINGS = { trustedRoot: undefined, unmatched: "reject" } as const;
const WHERE = "policy P: signatures[0]";

type Settings = Parameters<typeof readKubewardenSettings>[2];
const read = (entry: object, settings: Settings = SETTINGS) =>
  readKubewardenSettings({ signatures: [{ image: "a.test/*", ...entry }] }, "policy P", settings);

function decide(entry: object, settings: Settings = SETTINGS) {
  const name = parseImageName("a.test/b:1");
  if (name === undefined) throw new Error("bug: the name is malformed");
  return read(entry, settings).requirementFor({ transport: "docker", name }).requirement;
}

const LEAF = {
  ...USUAL,
  log: { need: "required", keys: [] },
  acceptsNamelessBundle: true,
};
const exact = (text: string) => ({ kind: "exact", text });
const certificate = (name: string, is: object, issuer: string) => ({
  kind: "certificate",
  identity: { subjects: [{ name, is }], issuer: exact(issuer) },
  authority: { kind: "trusted-root" },
});
const file = (name: string, text: string) => ({ name: `${WHERE}: ${name}`, bytes: Buffer.from(text) });

test.each<[string, object, Partial<Record<keyof SignedBy, unknown>>]>([
  [
    "a key",
    { pubKeys: ["k"], annotations: { env: "prod" } },
    {
      label: `${WHERE}: pubKeys[0]`,
      signer: { kind: "keys", keys: [{ ...file("pubKeys[0]", "k"), hasOneKey: true }] },
      log: { need: "ignored", keys: [] },
      annotations: new Map([["env", "prod"]]),
    },
  ],
  [
    "an identity",
    { keyless: [{ issuer: "i", subject: "s" }] },
    { label: `${WHERE}: keyless[0]`, signer: certificate("any", exact("s"), "i") },
  ],
  [
    "the beginning of an identity",
    { keylessPrefix: [{ issuer: "i", urlPrefix: "https://a/b/" }] },
    {
      label: `${WHERE}: keylessPrefix[0]`,
      signer: certificate("uri", { kind: "prefix", text: "https://a/b/" }, "i"),
    },
  ],
  [
    "a GitHub repository",
    { githubActions: { owner: "o", repo: "r" } },
    {
      label: `${WHERE}: githubActions`,
      signer: certificate(
        "uri",
        { kind: "prefix", text: "https://github.com/o/r/" },
        "https://token.actions.githubusercontent.com",
      ),
    },
  ],
  [
    "a certificate and its chain",
    { certificates: ["c"], certificateChain: "chain" },
    {
      label: `${WHERE}: certificates[0]`,
      signer: {
        kind: "pinned-certificate",
        certificates: [file("certificates[0]", "c")],
        chain: file("certificateChain[0]", "chain"),
      },
    },
  ],
  [
    "a certificate, not logged",
    { certificates: ["c"], certificateChain: null, requireRekorBundle: false },
    {
      label: `${WHERE}: certificates[0]`,
      signer: { kind: "pinned-certificate", certificates: [file("certificates[0]", "c")] },
      log: { need: "ignored", keys: [] },
    },
  ],
])("a signature by %s", (_what, entry, expected) => {
  expect(decide(entry)).toEqual({ ...LEAF, ...expected });
});

test("the trusted root of the settings is every entry's", () => {
  expect(decide({ pubKeys: ["k"] }, { ...SETTINGS, trustedRoot: ROOT })).toMatchObject({ trustedRoot: ROOT });
});

test("its rules say what they are for and what they demand", () => {
  expect(read({ pubKeys: ["k", "l"] }).rules).toEqual([
    {
      scope: 'images "a.test/*"',
      demands: [`${WHERE}: pubKeys[0]`, `${WHERE}: pubKeys[1]`],
      materials: ["k", "l"].map((text, i) => ({
        kind: "keys",
        file: { ...file(`pubKeys[${i}]`, text), hasOneKey: true },
      })),
    },
  ]);
  const [rule] = read({ certificates: ["c"], certificateChain: ["d"] }).rules;
  expect(rule?.materials).toEqual([
    { kind: "certificates", file: file("certificates[0]", "c") },
    { kind: "certificates", file: file("certificateChain[0]", "d") },
  ]);
  expect(read({ keyless: [{ issuer: "i", subject: "s" }] }).rules[0]?.materials).toEqual([]);
});

test("an image that no entry is for is accepted only where the settings say so, and a layout never matches", () => {
  for (const unmatched of ["accept", "reject"] as const) {
    const policy = read({ pubKeys: ["k"] }, { ...SETTINGS, unmatched });
    expect(policy.requirementFor({ transport: "oci", path: "a.test/b" })).toEqual({
      scope: "no entry",
      requirement: { kind: unmatched },
    });
  }
});

test.each<[object, string]>([
  [
    {},
    "exactly one of pubKeys, keyless, keylessPrefix, githubActions, certificates is needed, and not empty",
  ],
  [{ pubKeys: [] }, "is needed, and not empty"],
  [{ pubKeys: ["k"], keyless: [{ issuer: "i", subject: "s" }] }, "exactly one of pubKeys"],
  [{ pubKeys: ["k"], image: "" }, "image is missing"],
  [{ pubKeys: [1] }, "pubKeys is not a list of texts"],
  [{ pubKeys: { k: 1 } }, "pubKeys is not a list"],
  [{ pubKeys: ["k"], annotations: { env: 1 } }, "annotations is not a map of texts"],
  [{ pubKeys: ["k"], annotations: { env: 1, other: "x" } }, "annotations is not a map of texts"],
  [{ pubKeys: ["k"], annotations: ["env"] }, "annotations is not a map of texts"],
  [{ keyless: [{ issuer: "i" }] }, "keyless[0]: subject is missing"],
  [{ keyless: [{ issuer: "i", subject: "s", x: 1 }] }, 'keyless[0]: unknown field "x"'],
  [{ keylessPrefix: [{ urlPrefix: "p" }] }, "keylessPrefix[0]: issuer is missing"],
  [{ githubActions: { owner: "o", repo: "" } }, "githubActions: repo is empty"],
  [{ githubActions: { repo: "r" } }, "githubActions: owner is missing"],
  [{ certificates: ["c"], certificateChain: [] }, "certificateChain is empty"],
  [{ certificates: ["c"], requireRekorBundle: "yes" }, "requireRekorBundle is neither true nor false"],
])("the entry %j is refused: %s", (entry, message) => {
  expect(() => read(entry)).toThrow(message);
});
