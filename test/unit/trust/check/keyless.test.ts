import { sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { checkSignature } from "../../../../src/trust/check/signature.ts";
import type { SignatureVerdict, SimpleSignature } from "../../../../src/trust/found.ts";
import type { SignedBy, WorkflowClaim } from "../../../../src/trust/requirement.ts";
import {
  alternativeName,
  type CertificateSpec,
  CODE_SIGNING,
  certificate,
  FULCIO,
  hashedrekord,
  isCa,
  LEAF_EXTENSIONS,
  newKey,
  oidcIssuer,
  oldOidcIssuer,
  type Pair,
  pemOf,
  purpose,
  SIGNED_AT,
  Sigstore,
  spkiOf,
  TIME_STAMPING,
  usage,
} from "../../../support/sigstore.ts";
import { exact, keyless, trustFile } from "./demand.ts";

const store = new Sigstore();
const alien = new Sigstore();
const DIGEST = `sha256:${"ab".repeat(32)}`;
const IMAGE = { digest: DIGEST, name: undefined };
const KEY = newKey();
const HOUR = 3_600_000;

interface Change {
  readonly key?: Pair;
  readonly payload?: object;
  readonly certificate?: Partial<CertificateSpec>;
  readonly sct?: Parameters<Sigstore["leaf"]>[2];
  readonly entry?: Parameters<Sigstore["signedEntry"]>[1];
  readonly body?: (body: ReturnType<typeof hashedrekord>) => object;
  readonly rekorBundle?: (json: string) => string | undefined;
  readonly stamp?: (signature: Uint8Array) => Uint8Array;
}

const PAYLOAD = {
  critical: {
    identity: { "docker-reference": "registry.example.test/app:1" },
    image: { "docker-manifest-digest": DIGEST },
    type: "cosign container image signature",
  },
  optional: null,
};

/** A right signature but for `change`. */
function signed(change: Change = {}): SimpleSignature {
  const { key = KEY, payload = PAYLOAD, body = (it) => it } = change;
  const bytes = Buffer.from(JSON.stringify(payload));
  const signature = sign("sha256", bytes, key.privateKey);
  const leaf = store.leaf(KEY.publicKey, change.certificate, change.sct);
  const pem = pemOf("CERTIFICATE", leaf);
  const entry = store.signedEntry(body(hashedrekord(bytes, signature, pem)), change.entry);
  const rekorBundle = change.rekorBundle === undefined ? entry : change.rekorBundle(entry);
  return {
    form: "simple",
    where: "test",
    payload: bytes,
    signature: signature.toString("base64"),
    certificate: pem,
    ...(rekorBundle !== undefined && { rekorBundle }),
    ...(change.stamp && {
      timestamp: JSON.stringify({
        SignedRFC3161Timestamp: Buffer.from(change.stamp(signature)).toString("base64"),
      }),
    }),
  };
}

const check = async (change: Change, leaf: SignedBy = keyless(store.trustedRoot())) =>
  await checkSignature(signed(change), leaf, IMAGE);
const reasonOf = (verdict: SignatureVerdict) => (verdict.counts ? "it counts" : verdict.reason);

test("a signature with certificate, certificate timestamp and log entry counts", async () => {
  expect(await check({})).toEqual({
    counts: true,
    signer: "certificate of dev@example.test (issuer https://issuer.example.test)",
    signedName: "registry.example.test/app:1",
  });
});

test.each<[string, Partial<SimpleSignature>, RegExp]>([
  ["a signature that is not base64", { signature: "*" }, /its signature is not base64/],
  ["an empty signature", { signature: "" }, /it has no signature/],
  [
    "another PEM block instead of its certificate",
    { certificate: pemOf("PUBLIC KEY", spkiOf(KEY.publicKey)) },
    /its certificate is not well-formed PEM/,
  ],
  [
    "a certificate that is not base64",
    { certificate: "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n" },
    /its certificate is not well-formed PEM/,
  ],
])("%s does not count", async (_what, change, reason) => {
  const verdict = await checkSignature({ ...signed(), ...change }, keyless(store.trustedRoot()), IMAGE);
  expect(reasonOf(verdict)).toMatch(reason);
});

const without = (oid: string) => LEAF_EXTENSIONS.filter((it) => it.oid !== oid);
const leafWith = (oid: string, ...extensions: CertificateSpec["extensions"]): Change => ({
  certificate: { extensions: [...without(oid), ...extensions] },
});
const ISSUER = FULCIO("08");
const NAMES = "551d11";

describe("one fault in the certificate is enough to refuse", () => {
  test.each<[string, Change, RegExp]>([
    ["signed with another key", { key: newKey() }, /not by its certificate's key/],
    [
      "of another authority",
      { certificate: { signer: alien.intermediate.privateKey } },
      /does not lead to a trusted root/,
    ],
    ["not for code signing", leafWith("551d25", purpose(TIME_STAMPING)), /not code signing/],
    ["without extended key usage", leafWith("551d25"), /not code signing/],
    ["for no digital signatures", leafWith("551d0f", usage(0x20)), /digital signatures/],
    ["an authority's", leafWith("", isCa()), /certificate authority/],
    [
      "with an unknown critical extension",
      leafWith("", { oid: "2a03", value: Uint8Array.of(5, 0), isCritical: true }),
      /not understood/,
    ],
    [
      "with name constraints",
      leafWith("", { oid: "551d1e", value: Uint8Array.of(0x30, 0) }),
      /not understood/,
    ],
    ["with an extension twice", leafWith("", purpose(CODE_SIGNING)), /malformed certificate/],
    ["ended before it was logged", { certificate: { notAfter: SIGNED_AT - 5000 } }, /was valid from/],
    ["beginning after it was logged", { certificate: { notBefore: SIGNED_AT + 5000 } }, /was valid from/],
    ["for somebody else", leafWith(NAMES, alternativeName("eve@example.test")), /eve@example.test.*demanded/],
    [
      "for a subject that only begins alike",
      leafWith(NAMES, alternativeName("dev@example.test.evil.test")),
      /demanded/,
    ],
    [
      "for a name with NUL in it",
      leafWith(NAMES, alternativeName("dev@example.test\0.evil.test")),
      /printable ASCII/,
    ],
    ["for the name as a host", leafWith(NAMES, alternativeName("dev@example.test", 0x82)), /demanded/],
    ["without a subject alternative name", leafWith(NAMES), /no identity.*demanded/],
    [
      "by another issuer",
      {
        certificate: {
          extensions: [
            ...without(ISSUER).filter(({ oid }) => oid !== FULCIO("01")),
            oidcIssuer("https://evil.test"),
          ],
        },
      },
      /evil.test.*issuer.*demanded/,
    ],
    ["with two issuers", leafWith(ISSUER, oidcIssuer("https://evil.test")), /two different issuers/],
    ["without an issuer", { certificate: { extensions: LEAF_EXTENSIONS.slice(0, 3) } }, /issuer.*demanded/],
  ])("%s", async (_what, change, reason) => {
    const verdict = await check(change);
    expect(reasonOf(verdict)).toMatch(reason);
    expect(verdict.counts).toBe(false);
  });

  test("either form of the issuer alone is enough", async () => {
    const [v1, v2] = [
      oldOidcIssuer("https://issuer.example.test"),
      oidcIssuer("https://issuer.example.test"),
    ];
    for (const issuer of [v1, v2]) {
      expect(
        await check({ certificate: { extensions: [...LEAF_EXTENSIONS.slice(0, 3), issuer] } }),
      ).toMatchObject({ counts: true });
    }
  });
});

describe("certificate timestamps", () => {
  test.each<[string, Change, RegExp]>([
    ["none", { sct: null }, /no signed certificate timestamp/],
    ["by another log", { sct: { log: newKey() } }, /of a trusted certificate log/],
    ["with another hash", { sct: { algorithms: [5, 3] } }, /of a trusted certificate log/],
    [
      "with another algorithm than the log's key",
      { sct: { algorithms: [4, 1] } },
      /of a trusted certificate log/,
    ],
    ["with an unknown algorithm", { sct: { algorithms: [4, 9] } }, /of a trusted certificate log/],
    ["before the log was trusted", { sct: { at: Date.parse("2019-01-01") } }, /of a trusted certificate log/],
  ])("%s", async (_what, change, reason) => {
    expect(reasonOf(await check(change))).toMatch(reason);
    expect(await check(change, keyless(store.trustedRoot(), { sct: "ignored" }))).toMatchObject({
      counts: true,
    });
  });

  test("one of several trusted logs is enough", async () => {
    const root = store.trustedRoot();
    const others = new Sigstore().trustedRoot();
    const ctlogs = [...others.ctlogs, ...root.ctlogs];
    expect(await check({}, keyless({ ...root, ctlogs }))).toMatchObject({ counts: true });
    expect(await check({}, keyless({ ...root, ctlogs: ctlogs.reverse() }))).toMatchObject({ counts: true });
  });

  test("a log entry is for one certificate", async () => {
    const other = { certificate: { extensions: LEAF_EXTENSIONS } };
    const moved = signed(other);
    const change = signed({ certificate: { notAfter: SIGNED_AT + 9000 } });
    expect(
      reasonOf(
        await checkSignature(
          { ...moved, certificate: change.certificate ?? "" },
          keyless(store.trustedRoot()),
          IMAGE,
        ),
      ),
    ).toMatch(/log entry is of another key or certificate/);
  });
});

describe("each part of a log entry is compared", () => {
  const spec = (change: (it: ReturnType<typeof hashedrekord>["spec"]) => object): Change => ({
    body: (it) => ({ ...it, spec: { ...it.spec, ...change(it.spec) } }),
  });
  test.each<[string, Change, RegExp]>([
    ["no entry", { rekorBundle: () => undefined }, /no transparency log entry/],
    ["of another log", { entry: { log: newKey() } }, /not signed by a log/],
    ["when the log was not yet trusted", { entry: { at: Date.parse("2019-01-01") } }, /not signed by a log/],
    ["after the certificate ended", { entry: { at: SIGNED_AT + HOUR } }, /was valid from/],
    ["of another kind", { body: (it) => ({ ...it, kind: "rpm" }) }, /unsupported kind/],
    ["of a kind that is no text", { body: (it) => ({ ...it, kind: { toString: 1 } }) }, /unsupported kind/],
    ["of another version", { body: (it) => ({ ...it, apiVersion: "0.0.9" }) }, /unsupported kind/],
    [
      "of other content",
      spec(() => ({ data: { hash: { algorithm: "sha256", value: "00".repeat(32) } } })),
      /other content/,
    ],
    [
      "with a weak hash",
      spec(() => ({ data: { hash: { algorithm: "sha1", value: "00".repeat(20) } } })),
      /other content/,
    ],
    [
      "of another signature",
      spec(({ signature }) => ({ signature: { ...signature, content: "AAAA" } })),
      /another signature/,
    ],
    [
      "without a signature",
      spec(({ signature: { publicKey } }) => ({ signature: { publicKey } })),
      /another signature/,
    ],
    [
      "of another certificate with the same key",
      spec(({ signature }) => ({
        signature: {
          ...signature,
          publicKey: {
            content: Buffer.from(
              pemOf("CERTIFICATE", store.leaf(KEY.publicKey, { notAfter: SIGNED_AT + HOUR })),
            ).toString("base64"),
          },
        },
      })),
      /another key or certificate/,
    ],
    [
      "of the bare key",
      spec(({ signature }) => ({
        signature: {
          ...signature,
          publicKey: { content: Buffer.from(pemOf("PUBLIC KEY", spkiOf(KEY.publicKey))).toString("base64") },
        },
      })),
      /another key or certificate/,
    ],
    [
      "another time than was promised",
      {
        rekorBundle: (json) =>
          json.replace(`"integratedTime":${SIGNED_AT / 1000}`, `"integratedTime":${SIGNED_AT / 1000 + 1}`),
      },
      /not signed by a log/,
    ],
    [
      "a member that was not signed",
      { rekorBundle: (json) => json.replace('"logIndex":7', '"logIndex":7,"x":1') },
      /other members/,
    ],
    [
      "a member twice",
      { rekorBundle: (json) => json.replace('"logIndex":7', '"logIndex":7,"logIndex":7') },
      /twice/,
    ],
  ])("%s", async (_what, change, reason) => {
    expect(reasonOf(await check(change))).toMatch(reason);
  });

  test("a log's key in the policy replaces those of the trusted root", async () => {
    const keys = (pair: Pair) => [trustFile("rekor.pub", pemOf("PUBLIC KEY", spkiOf(pair.publicKey)))];
    const logged = (pair: Pair) =>
      keyless(store.trustedRoot(), { log: { need: "required", keys: keys(pair) } });
    expect(await check({}, logged(store.rekor))).toMatchObject({ counts: true });
    expect(reasonOf(await check({}, logged(alien.rekor)))).toMatch(/not signed by a log/);
  });
});

describe("trusted time", () => {
  const noLog = { rekorBundle: () => undefined };
  const stamped = (change: Partial<SignedBy> = {}) =>
    keyless(store.trustedRoot(), { log: { need: "ignored", keys: [] }, ...change });
  const stamp = (at: number) => (signature: Uint8Array) => store.timestamp(signature, at);

  test("without log and timestamp an old certificate does not count", async () => {
    expect(reasonOf(await check(noLog, stamped()))).toMatch(/nothing that is trusted says when/);
  });
  test.each([0, 1, 10, 120, 350, 999])("a timestamp with %i ms counts", async (milliseconds) => {
    expect(
      await check({ ...noLog, stamp: stamp(SIGNED_AT + milliseconds) }, stamped({ timestamps: "required" })),
    ).toMatchObject({ counts: true });
  });
  test.each<[string, Change, RegExp]>([
    ["outside the certificate's validity", { stamp: stamp(SIGNED_AT + HOUR) }, /was valid from/],
    [
      "of another signature",
      { stamp: () => store.timestamp(Uint8Array.of(1)) },
      /timestamp is of another signature/,
    ],
    [
      "signed by another key",
      { stamp: (it) => store.timestamp(it, SIGNED_AT, newKey()) },
      /not from a trusted timestamp authority/,
    ],
    [
      "of another authority",
      { stamp: (it) => alien.timestamp(it) },
      /not from a trusted timestamp authority/,
    ],
    [
      "before the authority's certificate",
      { stamp: stamp(Date.parse("2025-01-01")) },
      /not from a trusted timestamp authority/,
    ],
    ["cut off", { stamp: (it) => store.timestamp(it).subarray(0, 90) }, /timestamp is malformed/],
  ])("a timestamp %s does not", async (_what, change, reason) => {
    expect(reasonOf(await check({ ...noLog, ...change }, stamped({ timestamps: "required" })))).toMatch(
      reason,
    );
  });
  test("a timestamp whose digest is by another hash than its signature counts", async () => {
    const change = {
      ...noLog,
      stamp: (it: Uint8Array) => store.timestamp(it, SIGNED_AT, undefined, { digest: "sha512" }),
    };
    expect(reasonOf(await check(change, stamped({ timestamps: "required" })))).toBe("it counts");
  });
  test("an authority vouches only for the time in which it was one", async () => {
    const root = store.trustedRoot();
    const until = (end: number) => ({
      ...root,
      timestampAuthorities: root.timestampAuthorities.map((it) => ({
        ...it,
        validFor: { ...it.validFor, end: new Date(end).toISOString() },
      })),
    });
    const judged = async (end: number) => {
      const leaf = keyless(until(end), { log: { need: "ignored", keys: [] }, timestamps: "required" });
      return reasonOf(await check({ ...noLog, stamp: stamp(SIGNED_AT) }, leaf));
    };
    expect(await judged(SIGNED_AT)).toBe("it counts");
    expect(await judged(SIGNED_AT - 1)).toMatch(/not from a trusted timestamp authority/);
  });
  test("a timestamp is refused when none is there and one is demanded", async () => {
    expect(reasonOf(await check({}, keyless(store.trustedRoot(), { timestamps: "required" })))).toMatch(
      /no timestamp/,
    );
  });
  test("every trusted time must be within the certificate's validity", async () => {
    expect(reasonOf(await check({ stamp: stamp(SIGNED_AT + HOUR) }))).toMatch(/was valid from/);
  });
});

describe("authorities of containers-policy.json", () => {
  const roots = trustFile("roots.pem", pemOf("CERTIFICATE", store.rootCertificate));
  const chain = pemOf("CERTIFICATE", store.intermediateCertificate);
  const identity = { subjects: [{ name: "email" as const, is: exact("dev@example.test") }] };
  const certified = (authority: "fulcio" | "pki", need: "required" | "ignored" = "required") =>
    keyless(store.trustedRoot(), {
      sct: "ignored",
      log: { need, keys: [] },
      signer: { kind: "certificate", identity, authority: { kind: authority, roots } },
    });

  test("fulcio takes intermediates from the signature, and the time from the log", async () => {
    expect(
      await checkSignature({ ...signed({ sct: null }), chain }, certified("fulcio"), IMAGE),
    ).toMatchObject({ counts: true });
    expect(reasonOf(await check({ sct: null }, certified("fulcio")))).toMatch(
      /does not lead to a trusted root/,
    );
    const late = signed({ sct: null, entry: { at: SIGNED_AT + HOUR } });
    expect(reasonOf(await checkSignature({ ...late, chain }, certified("fulcio"), IMAGE))).toMatch(
      /was valid from/,
    );
  });
  test("with certificate transparency required, fulcio's certificates need it, too", async () => {
    const required = (authority: "fulcio") => ({ ...certified(authority), sct: "required" as const });
    expect(await checkSignature({ ...signed({}), chain }, required("fulcio"), IMAGE)).toMatchObject({
      counts: true,
    });
    const without = { ...signed({ sct: null }), chain };
    expect(reasonOf(await checkSignature(without, required("fulcio"), IMAGE))).toMatch(/\(SCT\)/);
  });
  test("pki counts from now", async () => {
    const old = signed({ sct: null });
    expect(reasonOf(await checkSignature({ ...old, chain }, certified("pki", "ignored"), IMAGE))).toMatch(
      /was valid from/,
    );
    const now = Math.floor(Date.now() / 1000) * 1000;
    const current = certificate({
      subject: "root",
      issuer: "root",
      key: store.root.publicKey,
      signer: store.root.privateKey,
      notBefore: now - HOUR,
      notAfter: now + 2 * HOUR,
      extensions: [isCa()],
    });
    const issued = (extensions: CertificateSpec["extensions"]) => {
      const [key, signer] = [KEY.publicKey, store.root.privateKey];
      const [notBefore, notAfter] = [now - HOUR, now + HOUR];
      const leaf = certificate({ subject: "", issuer: "root", key, signer, notBefore, notAfter, extensions });
      return { ...signed({ rekorBundle: () => undefined }), certificate: pemOf("CERTIFICATE", leaf) };
    };
    const pki = keyless(store.trustedRoot(), {
      sct: "ignored",
      log: { need: "ignored", keys: [] },
      signer: {
        kind: "certificate",
        identity,
        authority: { kind: "pki", roots: trustFile("r", pemOf("CERTIFICATE", current)) },
      },
    });
    expect(await checkSignature(issued(LEAF_EXTENSIONS), pki, IMAGE)).toMatchObject({
      counts: true,
      until: now + HOUR,
    });
    // RFC 5280 §4.2.1.12: a private authority need not limit what its certificates are for.
    for (const forAny of [[], [purpose("551d2500")]]) {
      const found = issued([...without("551d25"), ...forAny]);
      expect(reasonOf(await checkSignature(found, pki, IMAGE))).toBe("it counts");
    }
    const stamping = issued([...without("551d25"), purpose(TIME_STAMPING)]);
    expect(reasonOf(await checkSignature(stamping, pki, IMAGE))).toMatch(/is not code signing/);
  });
  test("a time that the log shows has no end", async () => {
    expect(await check({})).not.toHaveProperty("until");
    const logged = { ...signed({ sct: null }), chain };
    expect(await checkSignature(logged, certified("fulcio"), IMAGE)).not.toHaveProperty("until");
  });
});

test("a path length, a missing CA flag and a missing signing usage end a chain", async () => {
  const intermediate = (extensions: CertificateSpec["extensions"]) =>
    certificate({
      subject: "intermediate",
      issuer: "root",
      key: store.intermediate.publicKey,
      signer: store.root.privateKey,
      notBefore: SIGNED_AT - HOUR,
      notAfter: SIGNED_AT + HOUR,
      extensions,
    });
  const root = (der: Uint8Array) => {
    const trusted = store.trustedRoot();
    const [authority] = trusted.certificateAuthorities;
    const certificates = [der, store.rootCertificate].map((it) => ({
      rawBytes: Buffer.from(it).toString("base64"),
    }));
    return { ...trusted, certificateAuthorities: [{ ...authority, certChain: { certificates } }] };
  };
  expect(await check({}, keyless(root(intermediate([isCa(0), usage(6)]))))).toMatchObject({ counts: true });
  for (const extensions of [[], [isCa(), usage(0x80)], [isCa(), usage(6), purpose(TIME_STAMPING)]])
    expect(reasonOf(await check({}, keyless(root(intermediate(extensions)))))).toMatch(
      /does not lead to a trusted root/,
    );
});

describe("what Fulcio says of a GitHub workflow", () => {
  const claims = [
    ["trigger", "02", "push"],
    ["sha", "03", "0123abcd"],
    ["name", "04", "release"],
    ["repository", "05", "org/app"],
    ["ref", "06", "refs/heads/main"],
  ] as const;
  // These extensions hold bare bytes, without a DER string around them (Fulcio's oid-info.md).
  const extensions = claims.map(([, arc, value]) => ({ oid: FULCIO(arc), value: Buffer.from(value) }));
  const workflow = leafWith("", ...extensions);
  const demanding = (name: WorkflowClaim, value: string, change = workflow) => {
    const root = keyless(store.trustedRoot());
    if (root.signer.kind !== "certificate") throw new Error("bug: it demands no certificate");
    const identity = { ...root.signer.identity, workflow: new Map([[name, value]]) };
    return check(change, { ...root, signer: { ...root.signer, identity } });
  };

  test.each(claims)("%s is compared whole", async (name, _arc, value) => {
    expect(reasonOf(await demanding(name, value))).toBe("it counts");
    for (const other of [`${value}x`, value.slice(1), value.toUpperCase()])
      expect(await demanding(name, other)).toMatchObject({ counts: false, fault: "signer" });
    expect(await demanding(name, value, {})).toMatchObject({ counts: false });
  });
});

describe("a pinned certificate", () => {
  const pinned = (...pems: readonly string[]) =>
    keyless(store.trustedRoot(), {
      label: "the certificate of the policy",
      signer: { kind: "pinned-certificate", certificates: pems.map((it, i) => trustFile(`${i}.pem`, it)) },
    });
  const [one, another] = [signed(), signed()];

  test("counts, and no other of the same key and name", async () => {
    const [mine = "", theirs = ""] = [one.certificate, another.certificate];
    expect(mine).not.toBe(theirs);
    expect(await checkSignature(one, pinned(mine), IMAGE)).toMatchObject({ counts: true });
    expect(await checkSignature(one, pinned(theirs, mine), IMAGE)).toMatchObject({ counts: true });
    expect(reasonOf(await checkSignature(one, pinned(theirs), IMAGE))).toMatch(
      /with another certificate than the certificate of the policy/,
    );
  });
});
