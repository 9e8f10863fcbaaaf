import { sign } from "node:crypto";
import { expect, test } from "vitest";
import { checkSignature } from "../../../../src/trust/check/signature.ts";
import { preAuthentication } from "../../../../src/trust/check/statement.ts";
import type { FoundSignature } from "../../../../src/trust/found.ts";
import type { SignedBy } from "../../../../src/trust/requirement.ts";
import { newKey, pemOf, spkiOf } from "../../../support/sigstore.ts";
import { demand, trustFile } from "./demand.ts";

const HEX = "ab".repeat(32);
const IMAGE = {
  digest: `sha256:${HEX}`,
  name: { registry: "a.test", path: "b", tag: "1", digest: undefined },
};
const KEY = newKey();
const LEAF = demand({
  signer: { kind: "keys", keys: [trustFile("key.pub", pemOf("PUBLIC KEY", spkiOf(KEY.publicKey)))] },
});
const GPG = demand({ signer: { kind: "gpg", keyrings: [] } });
const ATTESTATION = { kind: "attestation", predicateType: undefined } as const;
const SIGN = "https://sigstore.dev/cosign/sign/v1";

function simple(more: object = {}): FoundSignature & { form: "simple" } {
  const critical = {
    identity: { "docker-reference": "a.test/b:1" },
    image: { "docker-manifest-digest": IMAGE.digest },
    type: "cosign container image signature",
    ...more,
  };
  const payload = Buffer.from(JSON.stringify({ critical, optional: { env: "prod", count: 1 } }));
  const signature = sign("sha256", payload, KEY.privateKey).toString("base64");
  return { form: "simple", where: "test", payload, signature };
}

function envelopeOf(predicateType: string, subject: object = {}) {
  const payload = Buffer.from(
    JSON.stringify({
      _type: "https://in-toto.io/Statement/v1",
      predicateType,
      subject: [{ digest: { sha256: HEX }, ...subject }],
    }),
  );
  const payloadType = "application/vnd.in-toto+json";
  const sig = sign("sha256", preAuthentication({ payloadType, payload }), KEY.privateKey).toString("base64");
  return { payloadType, payload: payload.toString("base64"), signatures: [{ sig }] };
}

function envelope(...of: Parameters<typeof envelopeOf>): FoundSignature {
  return { form: "envelope", where: "test", envelope: Buffer.from(JSON.stringify(envelopeOf(...of))) };
}

function bundle(content: object): FoundSignature {
  const json = {
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: { publicKey: { hint: "" }, tlogEntries: [] },
    ...content,
  };
  return { form: "bundle", where: "test", bundle: Buffer.from(JSON.stringify(json)) };
}

const named = (...of: Parameters<typeof envelopeOf>) => bundle({ dsseEnvelope: envelopeOf(...of) });
const check = async (found: FoundSignature, change: Partial<SignedBy> = {}, leaf = LEAF) =>
  await checkSignature(found, { ...leaf, ...change }, IMAGE);

test("a signature that counts says who signed what", async () => {
  const signer = expect.stringMatching(/^key sha256:/);
  expect(await check(simple())).toEqual({ counts: true, signer, signedName: "a.test/b:1" });
  expect(await check(named(SIGN))).toEqual({ counts: true, signer });
  expect(await check(named(SIGN, { name: "a.test/b:1" }))).toEqual({
    counts: true,
    signer,
    signedName: "a.test/b:1",
  });
  expect(await check(envelope("a"), { statement: ATTESTATION })).toEqual({
    counts: true,
    signer,
    statement: expect.any(Uint8Array),
  });
});

test.each<[string, FoundSignature, Partial<SignedBy>, RegExp, SignedBy?]>([
  ["that can't be read", { form: "unreadable", where: "x", problem: "it is lost" }, {}, /^it is lost$/],
  [
    "of another image",
    simple({ image: { "docker-manifest-digest": "sha256:1" } }),
    {},
    /of sha256:1, not of this image/,
  ],
  [
    "where an attestation is demanded",
    simple(),
    { statement: ATTESTATION },
    /^it is a signature, not an attestation$/,
  ],
  ["that is missing", { ...simple(), signature: "" }, {}, /^it has no signature$/],
  ["that is not base64", { ...simple(), signature: "*" }, {}, /^its signature is not base64$/],
  [
    "of a kind that is not demanded",
    simple(),
    {},
    /^it is not an OpenPGP signature, which is demanded$/,
    GPG,
  ],
  [
    "by GnuPG, where a key is demanded",
    { form: "gpg", where: "x", message: new Uint8Array() },
    {},
    /^it is an OpenPGP signature, which is not what is demanded$/,
  ],
  [
    "by GnuPG, where an attestation is demanded",
    { form: "gpg", where: "x", message: new Uint8Array() },
    { statement: ATTESTATION },
    /^it is a signature, not an attestation$/,
    GPG,
  ],
  [
    "of a file",
    bundle({
      messageSignature: { messageDigest: { algorithm: "SHA2_256", digest: "AA==" }, signature: "AA==" },
    }),
    {},
    /a file's signature, not an image's/,
  ],
  [
    "that is an attestation",
    envelope("a"),
    {},
    /^it is an attestation of the predicate type "a", not a signature$/,
  ],
  [
    "without an annotation",
    simple(),
    { annotations: new Map([["stage", "x"]]) },
    /^its annotation stage is missing, and "x" is demanded$/,
  ],
  [
    "with another annotation",
    simple(),
    { annotations: new Map([["env", "test"]]) },
    /^its annotation env is "prod", and "test" is demanded$/,
  ],
  [
    "with an annotation that is not text",
    simple(),
    { annotations: new Map([["count", "1"]]) },
    /^its annotation count is 1, and "1" is demanded$/,
  ],
  [
    "with an annotation that every object has",
    named(SIGN),
    { annotations: new Map([["toString", "x"]]) },
    /^its annotation toString is missing/,
  ],
])("a signature %s does not count", async (_what, found, change, reason, leaf = LEAF) => {
  expect(await check(found, change, leaf)).toEqual({
    counts: false,
    fault: "signer",
    reason: expect.stringMatching(reason),
  });
});

test("demanded annotations of a payload or a statement's subject count", async () => {
  const annotations = new Map([["env", "prod"]]);
  expect(await check(simple(), { annotations })).toMatchObject({ counts: true });
  expect(await check(named(SIGN, { annotations: { env: "prod" } }), { annotations })).toMatchObject({
    counts: true,
  });
});

test("a signature for another name has the fault of its identity, and its signer", async () => {
  const identity = { kind: "exactReference", reference: "a.test/c:1" } as const;
  expect(await check(simple(), { identity })).toEqual({
    counts: false,
    fault: "identity",
    signer: expect.stringMatching(/^key sha256:/),
    reason: expect.stringMatching(/a\.test\/c:1/),
  });
});

test("a bundle without a name counts only where the policy says so, and only for the repository", async () => {
  const counts = async (
    kind: "matchRepository" | "matchRepoDigestOrExact" | "matchExact",
    accepts: boolean,
  ) => (await check(named(SIGN), { identity: { kind }, acceptsNamelessBundle: accepts })).counts;
  expect(await counts("matchRepository", true)).toBe(true);
  expect(await counts("matchRepoDigestOrExact", true)).toBe(true);
  expect(await counts("matchExact", true)).toBe(false);
  expect(await counts("matchRepository", false)).toBe(false);
});

test("a policy's own file that can't be used is an error, not a signature that does not count", async () => {
  const keys = [trustFile("key.pub", "junk")];
  await expect(check(simple(), { signer: { kind: "keys", keys } })).rejects.toMatchObject({
    code: "BAD_KEY",
  });
});
