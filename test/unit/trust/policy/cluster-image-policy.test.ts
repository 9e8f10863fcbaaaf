import { expect, test } from "vitest";
import { readClusterImagePolicies } from "../../../../src/trust/policy/cluster-image-policy.ts";
import { parseImageName } from "../../../../src/trust/policy/image-name.ts";
import { LEAF as USUAL } from "../check/demand.ts";

const ROOT = { name: "root.json", bytes: new Uint8Array() };
const SETTINGS = { trustedRoot: undefined, unmatched: "reject" } as const;
const IMAGES = [{ glob: "a.test/**" }];

/** A policy, or several, of one authority each. */
function read(
  authorities: readonly object[],
  settings: Parameters<typeof readClusterImagePolicies>[2] = SETTINGS,
) {
  const document = (authority: object, i: number) => ({
    apiVersion: "policy.sigstore.dev/v1beta1",
    kind: "ClusterImagePolicy",
    metadata: { name: `policy-${i}` },
    spec: { images: IMAGES, authorities: [authority] },
  });
  return readClusterImagePolicies(authorities.map(document), "policy P", settings);
}

const PLACE = { transport: "docker", name: parseImageName("a.test/b:1") ?? fail() } as const;

function fail(): never {
  throw new Error("bug: the name is malformed");
}

const decide = (authority: object, settings = SETTINGS) =>
  read([authority], settings).requirementFor(PLACE).requirement;

const WHERE = "policy P: document 0: spec: authorities[0]";
const LEAF = {
  ...USUAL,
  label: WHERE,
  log: { need: "required", keys: [] },
  acceptsNamelessBundle: true,
};
const KEY = {
  kind: "keys",
  keys: [{ name: `${WHERE}: key: data`, bytes: Buffer.from("x"), hasOneKey: true }],
};
const exact = (text: string) => ({ kind: "exact", text });

test("a key needs no log, unless the authority names one", () => {
  expect(decide({ key: { data: "x" } })).toEqual({
    ...LEAF,
    signer: KEY,
    log: { need: "ignored", keys: [] },
  });
  expect(decide({ key: { data: "x", hashAlgorithm: "sha256" }, ctlog: { url: "https://rekor" } })).toEqual({
    ...LEAF,
    signer: KEY,
  });
});

test("a certificate needs a log, and has the authorities of the settings, or its own", () => {
  const signer = {
    kind: "certificate",
    identity: { subjects: [{ name: "any", is: exact("s") }], issuer: exact("i") },
    authority: { kind: "trusted-root" },
  };
  const identities = [{ issuer: "i", subject: "s" }];
  expect(decide({ keyless: { identities } })).toEqual({ ...LEAF, signer });
  expect(decide({ keyless: { identities } }, { ...SETTINGS, trustedRoot: ROOT } as never)).toEqual({
    ...LEAF,
    signer,
    trustedRoot: ROOT,
  });
  const roots = { name: `${WHERE}: keyless: data`, bytes: Buffer.from("pem") };
  expect(decide({ keyless: { identities, "ca-cert": { data: "pem" } } })).toEqual({
    ...LEAF,
    signer: { ...signer, authority: { kind: "fulcio", roots } },
  });
});

test("any identity is enough, with each attestation", () => {
  const identities = [
    { issuerRegExp: "i.*", subject: "a" },
    { issuer: "i", subjectRegExp: "b.*" },
  ];
  const attestations = [
    { name: "one", predicateType: "spdx" },
    { name: "two", predicateType: "https://slsa.dev/provenance/v1" },
  ];
  const requirement = decide({ keyless: { identities }, attestations });
  const types = ["https://spdx.dev/Document", "https://slsa.dev/provenance/v1"];
  const both = (subject: object, issuer: object) => ({
    kind: "all-of",
    of: types.map((predicateType) => ({
      statement: { kind: "attestation", predicateType },
      signer: { identity: { subjects: [{ is: subject }], issuer } },
    })),
  });
  expect(requirement).toMatchObject({
    kind: "any-of",
    of: [both(exact("a"), { kind: "regexp" }), both({ kind: "regexp" }, exact("i"))],
  });
});

test("static authorities accept or reject", () => {
  expect(decide({ static: { action: "pass" } })).toEqual({ kind: "accept" });
  expect(decide({ static: { action: "fail", message: "no" } })).toEqual({ kind: "reject" });
});

test("its rules say what they are for and what they demand", () => {
  const identities = [
    { issuer: "i", subject: "s" },
    { issuer: "i", subject: "t" },
  ];
  const keyless = { identities, "ca-cert": { data: "pem" } };
  const attestations = ["spdx", "vuln"].map((predicateType) => ({ name: "a", predicateType }));
  const { rules } = read([{ static: { action: "fail" } }, { key: { data: "x" } }, { keyless, attestations }]);
  const [second, third] = [1, 2].map((i) => `policy P: document ${i}: spec: authorities[0]`);
  const key = { kind: "keys", file: { ...KEY.keys[0], name: `${second}: key: data` } };
  const ca = { kind: "certificates", file: { name: `${third}: keyless: data`, bytes: Buffer.from("pem") } };
  expect(rules).toEqual([
    { scope: "policy-0 (a.test/**)", demands: ["reject"], materials: [] },
    { scope: "policy-1 (a.test/**)", demands: [second], materials: [key] },
    {
      scope: "policy-2 (a.test/**)",
      demands: [`${third} and ${third} or ${third} and ${third}`],
      materials: [ca, ca, ca, ca],
    },
  ]);
});

test("a policy without a name is named by its place, and an image of another place by none", () => {
  const spec = { images: IMAGES, authorities: [{ static: { action: "pass" } }] };
  const policy = readClusterImagePolicies([{ metadata: { name: 1 }, spec }], "policy P", {
    ...SETTINGS,
    unmatched: "accept",
  });
  expect(policy.requirementFor(PLACE)).toEqual({
    scope: "policy P: document 0",
    requirement: { kind: "accept" },
  });
  const unmatched = { scope: "no policy", requirement: { kind: "accept" } };
  expect(policy.requirementFor({ transport: "oci", path: "/a.test/b" })).toEqual(unmatched);
  const other = parseImageName("b.test/b:1") ?? fail();
  expect(policy.requirementFor({ transport: "docker", name: other })).toEqual(unmatched);
});

test.each<[object, string]>([
  [{ static: { action: "warn" } }, "static: action is neither pass nor fail"],
  [{ static: {} }, "static: action is missing"],
  [{ static: { action: "pass" }, ctlog: {} }, "static and ctlog exclude each other"],
  [{ name: "x" }, "one of key, keyless and static is needed"],
  [{ key: { data: "x" }, keyless: {} }, "one of key, keyless and static is needed"],
  [{ key: { data: "x" }, ctlog: { trustRootRef: "x" } }, 'ctlog: unknown field "trustRootRef"'],
  [{ key: { data: "" } }, "key: data is missing"],
  [{ key: { data: "x", hashAlgorithm: "sha512" } }, 'key: hashAlgorithm "sha512" is not supported'],
  [{ keyless: {} }, "keyless: identities is needed"],
  [{ keyless: { identities: [{ subject: "s" }] } }, "exactly one of issuer and issuerRegExp is needed"],
  [
    { keyless: { identities: [{ issuer: "i", subject: "s", subjectRegExp: "s" }] } },
    "exactly one of subject and subjectRegExp is needed",
  ],
  [
    { keyless: { identities: [{ issuer: "i", subjectRegExp: "(" }] } },
    "identities[0]: subjectRegExp can't be used",
  ],
  [{ key: { data: "x" }, attestations: [{ name: "a" }] }, "attestations[0]: predicateType is missing"],
])("the authority %j is refused: %s", (authority, message) => {
  expect(() => decide(authority)).toThrow(message);
});

test.each<[object, string]>([
  [{ images: [], authorities: [{ static: { action: "pass" } }] }, "images and authorities are needed"],
  [{ images: IMAGES, authorities: [] }, "images and authorities are needed"],
  [
    { images: IMAGES, authorities: [{ static: { action: "pass" } }], mode: "warn" },
    'mode "warn" would accept',
  ],
  [{ images: [{ glob: "a?" }], authorities: [] }, 'glob "a?" has a character that is not supported'],
  [{ images: [{ glob: "?a" }], authorities: [] }, 'glob "?a" has a character that is not supported'],
])("the specification %j is refused: %s", (spec, message) => {
  expect(() => readClusterImagePolicies([{ spec }], "policy P", SETTINGS)).toThrow(message);
});
