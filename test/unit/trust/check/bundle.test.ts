import { sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { checkSignature } from "../../../../src/trust/check/signature.ts";
import { preAuthentication } from "../../../../src/trust/check/statement.ts";
import type { SignatureVerdict } from "../../../../src/trust/found.ts";
import { parseImageName } from "../../../../src/trust/policy/image-name.ts";
import type { SignedBy } from "../../../../src/trust/requirement.ts";
import { rsaPair } from "../../../support/rsa.ts";
import { newKey, type Pair, pemOf, Sigstore, sha256, spkiOf } from "../../../support/sigstore.ts";
import { demand, keyless, trustFile } from "./demand.ts";

const store = new Sigstore();
const alien = new Sigstore();
const HEX = "ab".repeat(32);
const IMAGE = { digest: `sha256:${HEX}`, name: parseImageName("registry.example.test/app:1") };
const KEY = newKey();
const SIGN = "https://sigstore.dev/cosign/sign/v1";
const SPDX = "https://spdx.dev/Document";
const IN_TOTO = "application/vnd.in-toto+json";

const statement = (change: object = {}) => ({
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ name: "registry.example.test/app:1", digest: { sha256: HEX }, annotations: { env: "prod" } }],
  predicateType: SIGN,
  predicate: {},
  ...change,
});

interface Change {
  readonly key?: Pair;
  readonly hash?: string;
  readonly payload?: Uint8Array;
  readonly payloadType?: string;
  readonly certificate?: Uint8Array;
  readonly entry?: (made: { payload: Uint8Array; signature: Uint8Array; encoded: Uint8Array }) => object;
  readonly bundle?: (bundle: Record<string, unknown>) => object;
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

function bundle(change: Change = {}) {
  const { key = KEY, hash = "sha256", payloadType = IN_TOTO, certificate } = change;
  const payload = change.payload ?? Buffer.from(JSON.stringify(statement()));
  const encoded = preAuthentication({ payloadType, payload });
  const signature = sign(hash, encoded, key.privateKey);
  const entry = change.entry?.({ payload, signature, encoded });
  const whole = {
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: {
      ...(certificate === undefined
        ? { publicKey: { hint: "" } }
        : { certificate: { rawBytes: base64(certificate) } }),
      tlogEntries: entry === undefined ? [] : [entry],
    },
    dsseEnvelope: { payload: base64(payload), payloadType, signatures: [{ sig: base64(signature) }] },
  };
  const json = JSON.stringify(change.bundle?.(whole) ?? whole);
  return { form: "bundle", where: "test", bundle: Buffer.from(json) } as const;
}

const byKey = (key: { publicKey: Pair["publicKey"] } = KEY, change: Partial<SignedBy> = {}) =>
  demand({
    signer: { kind: "keys", keys: [trustFile("key.pub", pemOf("PUBLIC KEY", spkiOf(key.publicKey)))] },
    ...change,
  });
const check = async (change: Change, leaf: SignedBy = byKey()) =>
  await checkSignature(bundle(change), leaf, IMAGE);
const reasonOf = (verdict: SignatureVerdict) => (verdict.counts ? "it counts" : verdict.reason);
const says = (change: object) => ({ payload: Buffer.from(JSON.stringify(statement(change))) });

test("a bundle by the key counts, and names the image", async () => {
  expect(await check({})).toMatchObject({ counts: true, signedName: "registry.example.test/app:1" });
});

test("what is in a bundle counts once, as the library chooses it", async () => {
  const messageSignature = { messageDigest: { algorithm: "SHA2_256", digest: HEX }, signature: "AAAA" };
  const both = { bundle: (it: object) => ({ ...it, messageSignature }) };
  expect(reasonOf(await check(both))).toMatch(/a file's signature, not an image's/);
  const empty = { payload: new Uint8Array() };
  expect(reasonOf(await check(empty))).toMatch(/its members are not those of its version/);
  // The library decodes a placeholder: these bytes must be ours.
  const large = says({ predicate: { note: "x".repeat(500_000) } });
  expect(await check(large)).toMatchObject({ counts: true });
  const other = { ...large, bundle: (it: object) => ({ ...it, dsseEnvelope: bundleEnvelope("AA==", it) }) };
  expect(reasonOf(await check(other))).toMatch(/not by the signer/);
});

const bundleEnvelope = (payload: string, whole: object) => ({
  ...(whole as { dsseEnvelope: object }).dsseEnvelope,
  payload,
});

test.each<[string, Change, RegExp]>([
  ["by another key", { key: newKey() }, /not by the signer/],
  [
    "of another digest",
    says({ subject: [{ digest: { sha256: "cd".repeat(32) } }] }),
    /the digest does not match/,
  ],
  ["of no digest", says({ subject: [] }), /the digest does not match/],
  ["of the digest in another algorithm", says({ subject: [{ digest: { sha512: HEX } }] }), /does not match/],
  ["that is an attestation", says({ predicateType: SPDX }), /attestation of the predicate type/],
  [
    "that denies",
    says({ predicateType: "https://example.test/scan", predicate: { verdict: "do not run" } }),
    /not a signature/,
  ],
  ["of another statement version", says({ _type: "https://in-toto.io/Statement/v9" }), /unknown version/],
  [
    "with a member twice",
    {
      payload: Buffer.from(
        JSON.stringify(statement()).replace('"predicate":', '"predicateType":"x","predicate":'),
      ),
    },
    /"predicateType" twice/,
  ],
  ["of another payload type", { payloadType: "application/json" }, /not an in-toto statement/],
  [
    "of another media type",
    { bundle: (it) => ({ ...it, mediaType: "application/json" }) },
    /media type is unknown/,
  ],
  [
    "with a member of JSON twice",
    { bundle: (it) => ({ ...it, dsseEnvelope: undefined, messageSignature: undefined }) },
    /malformed/,
  ],
  [
    "with two signatures",
    {
      bundle: (it) => ({
        ...it,
        dsseEnvelope: { ...(it["dsseEnvelope"] as object), signatures: [{ sig: "AAAA" }, { sig: "AAAA" }] },
      }),
    },
    /malformed/,
  ],
  [
    "whose payload is not base64",
    { bundle: (it) => ({ ...it, dsseEnvelope: { ...(it["dsseEnvelope"] as object), payload: "=A" } }) },
    /not base64/,
  ],
  [
    "with a certificate, where a key is demanded",
    { certificate: store.leaf(KEY.publicKey) },
    /with a certificate, and a key is demanded/,
  ],
])("a bundle %s does not count", async (_what, change, reason) => {
  const verdict = await check(change);
  expect(reasonOf(verdict)).toMatch(reason);
  expect(verdict.counts).toBe(false);
});

test.each(["P-384", "P-521"])("a %s key signs with the hash of its size, or SHA-256", async (curve) => {
  const key = newKey(curve);
  const own = curve === "P-384" ? "sha384" : "sha512";
  for (const hash of [own, "sha256"])
    expect(await check({ key, hash }, byKey(key))).toMatchObject({ counts: true });
  expect(reasonOf(await check({ key, hash: "sha1" }, byKey(key)))).toMatch(/not by the signer/);
});

test("an RSA signature with PSS padding does not count", async () => {
  const pair = rsaPair(2048);
  expect(await check({ key: pair }, byKey(pair))).toMatchObject({ counts: true });
  const payload = Buffer.from(JSON.stringify(statement()));
  const encoded = preAuthentication({ payloadType: IN_TOTO, payload });
  const sig = base64(sign("sha256", encoded, { key: pair.privateKey, padding: 6, saltLength: 32 }));
  const pss = {
    bundle: (it: Record<string, unknown>) => ({
      ...it,
      dsseEnvelope: { ...(it["dsseEnvelope"] as object), signatures: [{ sig }] },
    }),
  };
  expect(reasonOf(await check(pss, byKey(pair)))).toMatch(/not by the signer/);
});

describe("what a statement says besides", () => {
  test("annotations of the subject", async () => {
    const demanding = (value: string) => byKey(KEY, { annotations: new Map([["env", value]]) });
    expect(await check({}, demanding("prod"))).toMatchObject({ counts: true });
    expect(reasonOf(await check({}, demanding("test")))).toMatch(/env is "prod"/);
  });
  test("attestations count where their type is asked for", async () => {
    const attested = (predicateType: string | undefined) =>
      byKey(KEY, { statement: { kind: "attestation", predicateType } });
    const verdict = await check(says({ predicateType: SPDX }), attested(SPDX));
    expect(verdict).toMatchObject({ counts: true });
    expect(verdict.counts && Buffer.from(verdict.statement ?? []).toString()).toContain(SPDX);
    expect(await check(says({ predicateType: SPDX }), attested(undefined))).toMatchObject({ counts: true });
    expect(
      reasonOf(await check(says({ predicateType: SPDX }), attested("https://slsa.dev/provenance/v1"))),
    ).toMatch(/is demanded/);
    expect(reasonOf(await check({}, attested(undefined)))).toMatch(/a signature, not an attestation/);
  });
  test("the name is compared where the policy compares names", async () => {
    const nameless = says({ subject: [{ digest: { sha256: HEX } }] });
    const other = says({ subject: [{ name: "evil.test/app:1", digest: { sha256: HEX } }] });
    const matching = byKey(KEY, { identity: { kind: "matchRepoDigestOrExact" } });
    expect(await check({}, matching)).toMatchObject({ counts: true });
    expect(await check(other, matching)).toMatchObject({ counts: false, fault: "identity" });
    expect(await check(nameless, matching)).toMatchObject({
      counts: false,
      fault: "identity",
      reason: expect.stringContaining('bundle_identity = "scope"'),
    });
    expect(await check(nameless, { ...matching, acceptsNamelessBundle: true })).toMatchObject({
      counts: true,
    });
    const fixed: SignedBy = {
      ...matching,
      acceptsNamelessBundle: true,
      identity: { kind: "exactRepository", repository: "registry.example.test/app" },
    };
    expect(await check(nameless, fixed)).toMatchObject({ counts: false, fault: "identity" });
  });
});

describe("log entries of bundles", () => {
  const leaf = store.leaf(KEY.publicKey);
  const dsse =
    (certificate: Uint8Array, change: object = {}) =>
    (made: { payload: Uint8Array; signature: Uint8Array }) =>
      store.tlogEntry({
        apiVersion: "0.0.1",
        kind: "dsse",
        spec: {
          payloadHash: { algorithm: "sha256", value: sha256(made.payload).toString("hex") },
          signatures: [
            {
              signature: base64(made.signature),
              verifier: base64(Buffer.from(pemOf("CERTIFICATE", certificate))),
            },
          ],
          ...change,
        },
      } as { kind: string; apiVersion: string });
  const right: Change = { certificate: leaf, entry: dsse(leaf) };
  const logged = keyless(store.trustedRoot());

  test("a keyless bundle counts", async () => {
    expect(await check(right, logged)).toMatchObject({
      counts: true,
      signer: "certificate of dev@example.test (issuer https://issuer.example.test)",
    });
  });
  const changed = (change: (entry: ReturnType<Sigstore["tlogEntry"]>) => object): Change => ({
    ...right,
    entry: (made) => change(dsse(leaf)(made)),
  });
  test.each<[string, Change, RegExp]>([
    ["none", { certificate: leaf }, /no transparency log entry/],
    [
      "of other content",
      { ...right, entry: dsse(leaf, { payloadHash: { algorithm: "sha256", value: "00".repeat(32) } }) },
      /other content/,
    ],
    [
      "of another certificate",
      { ...right, entry: dsse(store.leaf(KEY.publicKey, { notAfter: Date.now() })) },
      /another key or certificate/,
    ],
    ["with two signatures", { ...right, entry: dsse(leaf, { signatures: [{}, {}] }) }, /another signature/],
    [
      "with another promise",
      changed((it) => ({ ...it, inclusionPromise: { signedEntryTimestamp: "AAAA" } })),
      /promise could not be verified/,
    ],
    [
      "at another time",
      changed((it) => ({ ...it, integratedTime: String(Number(it.integratedTime) + 1) })),
      /promise could not be verified/,
    ],
    [
      "with another tree",
      changed((it) => ({ ...it, inclusionProof: { ...it.inclusionProof, hashes: ["AAAA"] } })),
      /invalid hash count/,
    ],
    [
      "with another checkpoint",
      changed((it) => ({
        ...it,
        inclusionProof: {
          ...it.inclusionProof,
          checkpoint: { envelope: it.inclusionProof.checkpoint.envelope.replace("\n1\n", "\n2\n") },
        },
      })),
      /checkpoint/,
    ],
    [
      "with another root than its checkpoint's",
      changed((it) => ({ ...it, inclusionProof: { ...it.inclusionProof, rootHash: base64(sha256()) } })),
      /root hash does not match/,
    ],
    [
      "with another size than its checkpoint's",
      changed((it) => ({ ...it, inclusionProof: { ...it.inclusionProof, treeSize: "2" } })),
      /another tree/,
    ],
    [
      "of a log that is not trusted",
      { ...right, entry: () => alien.tlogEntry({ kind: "dsse", apiVersion: "0.0.1" }) },
      /not of a log that was trusted then/,
    ],
    [
      "of another kind than it says",
      changed((it) => ({ ...it, kindVersion: { kind: "intoto", version: "0.0.2" } })),
      /kind\/version mismatch/,
    ],
  ])("%s", async (_what, change, reason) => {
    expect(reasonOf(await check(change, logged))).toMatch(reason);
  });

  test("a time that only a proof, and no promise, comes with is not believed", async () => {
    const unpromised = changed(({ inclusionPromise: _, ...it }) => it);
    expect(reasonOf(await check(unpromised, logged))).toMatch(
      /nothing that is trusted says when it was signed/,
    );
  });
  test.each([
    ["before", (own: unknown, others: unknown) => [others, own]],
    ["after", (own: unknown, others: unknown) => [own, others]],
  ])("an entry of a log that is not trusted changes nothing %s a trusted one", async (_where, order) => {
    const entries: Change = {
      ...right,
      bundle: (it) => {
        const material = it["verificationMaterial"] as { tlogEntries: unknown[] };
        const tlogEntries = order(
          material.tlogEntries[0],
          alien.tlogEntry({ kind: "dsse", apiVersion: "0.0.1" }),
        );
        return { ...it, verificationMaterial: { ...material, tlogEntries } };
      },
    };
    expect(reasonOf(await check(entries, logged))).toBe("it counts");
  });
  test.each([undefined, "https://rekor.internal:3000"])(
    "a log at %s counts, although its checkpoint names it otherwise",
    async (baseUrl) => {
      const root = store.trustedRoot();
      const tlogs = root.tlogs.map((it) => ({ ...it, baseUrl }));
      expect(reasonOf(await check(right, keyless({ ...root, tlogs })))).toBe("it counts");
    },
  );
  test("the same entry twice is refused", async () => {
    const twice = {
      ...right,
      bundle: (it: Record<string, unknown>) => {
        const material = it["verificationMaterial"] as { tlogEntries: unknown[] };
        return {
          ...it,
          verificationMaterial: {
            ...material,
            tlogEntries: [...material.tlogEntries, ...material.tlogEntries],
          },
        };
      },
    };
    expect(reasonOf(await check(twice, logged))).toMatch(/duplicate/);
  });
  test("a bundle that brings a root certificate is refused", async () => {
    const chain = [leaf, store.rootCertificate].map((it) => ({ rawBytes: base64(it) }));
    const old = {
      ...right,
      bundle: (it: Record<string, unknown>) => {
        const { certificate: _, ...material } = it["verificationMaterial"] as Record<string, unknown>;
        return {
          ...it,
          mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.2",
          verificationMaterial: { ...material, x509CertificateChain: { certificates: chain } },
        };
      },
    };
    expect(reasonOf(await check(old, logged))).toMatch(/root certificate of its own/);
  });
});

describe("log entries of envelopes that cosign 2 attaches", () => {
  const leaf = store.leaf(KEY.publicKey);
  const payload = Buffer.from(JSON.stringify(statement({ predicateType: SPDX })));
  const sig = base64(sign("sha256", preAuthentication({ payloadType: IN_TOTO, payload }), KEY.privateKey));
  const envelope = Buffer.from(
    JSON.stringify({ payloadType: IN_TOTO, payload: base64(payload), signatures: [{ sig }] }),
  );
  const verifier = (certificate: Uint8Array) => base64(Buffer.from(pemOf("CERTIFICATE", certificate)));
  const hash = (bytes: Uint8Array) => ({ algorithm: "sha256", value: sha256(bytes).toString("hex") });
  const intoto = (content: object, certificate: Uint8Array = leaf) => ({
    ...{ kind: "intoto", apiVersion: "0.0.1" },
    spec: { content, publicKey: verifier(certificate) },
  });
  const attested = keyless(store.trustedRoot(), {
    statement: { kind: "attestation", predicateType: SPDX },
  });
  async function logged(body: object) {
    const certificate = pemOf("CERTIFICATE", leaf);
    const material = { certificate, rekorBundle: store.signedEntry(body) };
    return await checkSignature({ form: "envelope", where: "test", envelope, ...material }, attested, IMAGE);
  }

  test.each([
    ["intoto 0.0.1, of the whole envelope", intoto({ hash: hash(envelope), payloadHash: hash(payload) })],
    [
      "dsse",
      {
        ...{ kind: "dsse", apiVersion: "0.0.1" },
        spec: { payloadHash: hash(payload), signatures: [{ signature: sig, verifier: verifier(leaf) }] },
      },
    ],
  ])("%s: counts", async (_what, body) => {
    expect(await logged(body)).toMatchObject({
      counts: true,
      signer: expect.stringMatching("dev@example.test"),
    });
  });

  test.each([
    ["another envelope", intoto({ hash: hash(payload), payloadHash: hash(payload) }), /of other content/],
    ["no envelope", intoto({ payloadHash: hash(payload) }), /of other content/],
    [
      "another certificate",
      intoto({ hash: hash(envelope) }, alien.leaf(KEY.publicKey)),
      /another key or certificate/,
    ],
  ])("intoto 0.0.1, of %s: does not count", async (_what, body, reason) => {
    expect(reasonOf(await logged(body))).toMatch(reason);
  });

  test("intoto 0.0.1 of a bundle does not count", async () => {
    const entry = () => store.tlogEntry(intoto({ hash: hash(envelope) }));
    expect(reasonOf(await check({ certificate: leaf, entry }, keyless(store.trustedRoot())))).toMatch(
      /of other content/,
    );
  });
});
