import { expect, test } from "vitest";
import { readRequirement } from "../../../../src/trust/policy/containers-requirement.ts";
import type { Requirement, SignedBy } from "../../../../src/trust/requirement.ts";

const read = (name: string) => ({ name, path: name, bytes: new Uint8Array() });
const compile = (value: unknown, scopeIsIdentity = false): Requirement =>
  readRequirement(value, "policy P: default[0]").compile({ scopeIsIdentity, read });
const file = (name: string, more: object = {}) => ({ ...read(name), ...more });
const ONE_KEY = { hasOneKey: true };
const BYTES = new Uint8Array(Buffer.from("data"));
const DATA = Buffer.from(BYTES).toString("base64");

const LEAF = {
  kind: "signed-by",
  log: { need: "ignored", keys: [] },
  sct: "ignored",
  timestamps: "accepted",
  annotations: new Map(),
  statement: { kind: "signature" },
  identity: { kind: "matchRepoDigestOrExact" },
  acceptsNamelessBundle: false,
};

test.each<[string, object, Requirement]>([
  ["everything", { type: "insecureAcceptAnything" }, { kind: "accept" }],
  ["nothing", { type: "reject" }, { kind: "reject" }],
  [
    "a base layer, which containers/image does not know either",
    { type: "signedBaseLayer", baseLayerIdentity: { type: "matchExact" } },
    { kind: "reject" },
  ],
])("a requirement of %s", (_what, value, expected) => {
  expect(compile(value)).toEqual(expected);
});

test.each<[string, object, Partial<SignedBy>]>([
  [
    "one key",
    { keyPath: "/a.pub", signedIdentity: { type: "matchRepository" } },
    {
      label: "sigstoreSigned, keyPath /a.pub, matchRepository",
      signer: { kind: "keys", keys: [file("/a.pub", ONE_KEY)] },
      identity: { kind: "matchRepository" },
    },
  ],
  [
    "several keys, logged by several logs",
    { keyPaths: ["/a.pub", "/b.pub"], rekorPublicKeyPaths: ["/c.pub", "/d.pub"] },
    {
      label: "sigstoreSigned, keyPaths /a.pub /b.pub, matchRepoDigestOrExact",
      signer: { kind: "keys", keys: [file("/a.pub", ONE_KEY), file("/b.pub", ONE_KEY)] },
      log: { need: "required", keys: [file("/c.pub", ONE_KEY), file("/d.pub", ONE_KEY)] } as never,
    },
  ],
  [
    "a key in the policy",
    { keyData: DATA, signedIdentity: { type: "exactRepository", dockerRepository: "a.b/c" } },
    {
      label: "sigstoreSigned, keyData, exactRepository",
      signer: {
        kind: "keys",
        keys: [{ name: "the policy's keyData[0]", bytes: BYTES, hasOneKey: true }],
      },
      identity: { kind: "exactRepository", repository: "a.b/c" },
    },
  ],
  [
    "Fulcio's certificate",
    {
      fulcio: { caPath: "/ca.pem", oidcIssuer: "https://i", subjectEmail: "e@x" },
      rekorPublicKeyPath: "/r.pub",
      signedIdentity: { type: "remapIdentity", prefix: "a.b", signedPrefix: "c.d" },
    },
    {
      label: "sigstoreSigned, caPath /ca.pem, remapIdentity",
      signer: {
        kind: "certificate",
        identity: {
          subjects: [{ name: "email", is: { kind: "exact", text: "e@x" } }],
          issuer: { kind: "exact", text: "https://i" },
        },
        authority: { kind: "fulcio", roots: file("/ca.pem") },
      },
      log: { need: "required", keys: [file("/r.pub", ONE_KEY)] } as never,
      identity: { kind: "remapIdentity", prefix: "a.b", signedPrefix: "c.d" },
    },
  ],
  [
    "a private authority's certificate",
    {
      pki: { caRootsPath: "/ca.pem", caIntermediatesPath: "/middle.pem", subjectHostname: "h" },
      signedIdentity: { type: "exactReference", dockerReference: "a.b/c:1" },
    },
    {
      label: "sigstoreSigned, caRootsPath /ca.pem, exactReference",
      signer: {
        kind: "certificate",
        identity: { subjects: [{ name: "dns", is: { kind: "exact", text: "h" } }] },
        authority: { kind: "pki", roots: file("/ca.pem"), intermediates: file("/middle.pem") },
      },
      identity: { kind: "exactReference", reference: "a.b/c:1" },
    },
  ],
  [
    "a private authority's certificate for an email address and a host",
    { pki: { caRootsData: DATA, subjectEmail: "e@x", subjectHostname: "h" } },
    {
      label: "sigstoreSigned, caRootsData, matchRepoDigestOrExact",
      signer: {
        kind: "certificate",
        identity: {
          subjects: [
            { name: "email", is: { kind: "exact", text: "e@x" } },
            { name: "dns", is: { kind: "exact", text: "h" } },
          ],
        },
        authority: {
          kind: "pki",
          roots: { name: "the policy's caRootsData[0]", bytes: BYTES },
        },
      },
    },
  ],
])("sigstoreSigned with %s", (_what, value, expected) => {
  expect(compile({ type: "sigstoreSigned", ...value })).toEqual({ ...LEAF, ...expected });
});

test("signedBy has keyrings, of which all keys count", () => {
  expect(compile({ type: "signedBy", keyType: "GPGKeys", keyPaths: ["/a.gpg", "/b.gpg"] })).toEqual({
    ...LEAF,
    label: "signedBy, keyPaths /a.gpg /b.gpg, matchRepoDigestOrExact",
    signer: { kind: "gpg", keyrings: [file("/a.gpg"), file("/b.gpg")] },
  });
});

test.each<[string, object]>([
  ["keyType X509Certificates", { type: "signedBy", keyType: "X509Certificates", keyPath: "/a" }],
  ["keyType signedByGPGKeys", { type: "signedBy", keyType: "signedByGPGKeys", keyPath: "/a" }],
])("what containers/image does not implement rejects: %s", (_what, value) => {
  expect(compile(value)).toEqual({ kind: "reject" });
});

test("the scope stands for a bundle's identity where the identity is the repository", () => {
  const accepts = (type: string, scopeIsIdentity: boolean, more: object = {}) => {
    const signedIdentity = { type, ...more };
    const leaf = compile({ type: "sigstoreSigned", keyPath: "/a", signedIdentity }, scopeIsIdentity);
    return leaf.kind === "signed-by" && leaf.acceptsNamelessBundle;
  };
  expect(accepts("matchRepository", true)).toBe(true);
  expect(accepts("matchRepoDigestOrExact", true)).toBe(true);
  expect(accepts("matchRepository", false)).toBe(false);
  expect(accepts("matchExact", true)).toBe(false);
  expect(accepts("exactRepository", true, { dockerRepository: "a.b/c" })).toBe(false);
  const gpg = compile({ type: "signedBy", keyType: "GPGKeys", keyPath: "/a" }, true);
  expect(gpg).toMatchObject({ acceptsNamelessBundle: false });
});

test("materials are named with their use", () => {
  const materials = (value: object) => readRequirement(value, "P").materials;
  const fulcio = { caPath: "/ca.pem", oidcIssuer: "i", subjectEmail: "e" };
  expect(materials({ type: "sigstoreSigned", fulcio, rekorPublicKeyPath: "/r.pub" })).toEqual([
    { kind: "certificates", path: "/ca.pem" },
    { kind: "keys", path: "/r.pub" },
  ]);
  expect(materials({ type: "signedBy", keyType: "GPGKeys", keyPath: "/a.gpg" })).toEqual([
    { kind: "keyring", path: "/a.gpg" },
  ]);
  const pki = { caRootsPath: "/ca.pem", caIntermediatesPath: "/m.pem", subjectEmail: "e" };
  expect(materials({ type: "sigstoreSigned", pki })).toEqual([
    { kind: "certificates", path: "/ca.pem" },
    { kind: "certificates", path: "/m.pem" },
  ]);
});

test.each<[object | null, string]>([
  [null, "it is not an object"],
  [{}, "unknown requirement type undefined"],
  [{ type: "signedBaseLayer" }, "baseLayerIdentity: it is not an object"],
  [{ type: "signedBaseLayer", baseLayerIdentity: { type: "x" } }, 'baseLayerIdentity: unknown type "x"'],
  [{ type: "signedBy", keyType: "x", keyPath: "/a" }, 'unknown keyType "x"'],
  [{ type: "signedBy", keyType: "GPGKeys" }, "exactly one of keyPath, keyPaths, keyData is needed"],
])("%j is refused: %s", (value, message) => {
  expect(() => compile(value)).toThrow(message);
});

const FULCIO = { caPath: "/ca.pem", oidcIssuer: "i", subjectEmail: "e" };
const PKI = { caRootsPath: "/ca.pem", subjectEmail: "e" };
test.each<[object, string]>([
  [{}, "exactly one of keyPath, keyPaths, keyData, keyDatas, fulcio and pki is needed"],
  [{ keyPath: "/a", fulcio: FULCIO, rekorPublicKeyPath: "/r" }, "exactly one of keyPath"],
  [{ keyPath: "/a", keyData: DATA }, "keyPath and keyData exclude each other"],
  [{ keyPath: "/a", rekorPublicKeyPaths: [] }, "rekorPublicKeyPaths is empty"],
  [{ keyPath: "/a", keyPaths: null }, "keyPaths is empty"],
  [{ keyPath: "/a", rekorPublicKeyDatas: [] }, "rekorPublicKeyDatas is empty"],
  [{ keyDatas: [DATA, 1] }, "keyDatas is not a list of texts"],
  [{ keyDatas: [DATA, "*"] }, "keyDatas[1] is not base64"],
  [{ fulcio: FULCIO }, "fulcio needs a rekorPublicKey field"],
  [{ fulcio: { ...FULCIO, caPath: "" }, rekorPublicKeyPath: "/r" }, "fulcio: caPath or caData is needed"],
  [{ fulcio: { ...FULCIO, subjectEmail: "" }, rekorPublicKeyPath: "/r" }, "subjectEmail is missing"],
  [{ fulcio: { ...FULCIO, oidcIssuer: null }, rekorPublicKeyPath: "/r" }, "oidcIssuer is missing"],
  [{ pki: PKI, rekorPublicKeyPath: "/r" }, "pki takes no rekorPublicKey field"],
  [{ pki: { subjectEmail: "e" } }, "pki: caRootsPath or caRootsData is needed"],
  [{ pki: { caRootsPath: "/ca.pem" } }, "pki: subjectEmail or subjectHostname is needed"],
  [
    { keyPath: "/a", signedIdentity: { type: "exactReference", dockerReference: "A" } },
    'signedIdentity: dockerReference "A" is not an image reference',
  ],
  [
    { keyPath: "/a", signedIdentity: { type: "exactReference", dockerReference: "a.b/c" } },
    'dockerReference "a.b/c" has neither a tag nor a digest',
  ],
  [
    { keyPath: "/a", signedIdentity: { type: "exactRepository", dockerRepository: "A" } },
    'dockerRepository "A" is not a repository',
  ],
  [
    { keyPath: "/a", signedIdentity: { type: "remapIdentity", prefix: "a.b/", signedPrefix: "c.d" } },
    'prefix "a.b/" is neither a registry nor a path in one',
  ],
])("sigstoreSigned %j is refused: %s", (value, message) => {
  expect(() => compile({ type: "sigstoreSigned", ...value })).toThrow(message);
});
