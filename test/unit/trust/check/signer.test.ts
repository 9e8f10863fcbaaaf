import { sign } from "node:crypto";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { plainEvidence } from "../../../../src/trust/check/evidence.ts";
import { bytesMessage } from "../../../../src/trust/check/message.ts";
import { checkSigner } from "../../../../src/trust/check/signer.ts";
import type { CertificateAuthority, SignedBy, Signer } from "../../../../src/trust/requirement.ts";
import {
  type CertificateSpec,
  certificate,
  hashedrekord,
  isCa,
  LEAF_EXTENSIONS,
  newKey,
  pemOf,
  purpose,
  SIGNED_AT,
  Sigstore,
  spkiOf,
  TIME_STAMPING,
} from "../../../support/sigstore.ts";
import { exact, keyless, trustFile } from "./demand.ts";

const store = new Sigstore();
const alien = new Sigstore();
const KEY = newKey();
const MESSAGE = Buffer.from("a message");
const SIGNATURE = sign("sha256", MESSAGE, KEY.privateKey);
const END = SIGNED_AT + 600_000;
const HOUR = 3_600_000;
const ROOT = store.trustedRoot();
const IGNORED = { need: "ignored", keys: [] } as const;
const REQUIRED = { need: "required", keys: [] } as const;
const pem = (...ders: readonly Uint8Array[]) => ders.map((der) => pemOf("CERTIFICATE", der)).join("");

interface Made {
  readonly leaf?: Uint8Array | null;
  /** When the log took it in. */
  readonly loggedAt?: number;
  readonly stampedAt?: number;
  readonly chain?: string;
}

/** Evidence with what is asked for beside it. */
function evidence({ leaf = store.leaf(KEY.publicKey), loggedAt, stampedAt, chain }: Made = {}) {
  const verifier = leaf === null ? pemOf("PUBLIC KEY", spkiOf(KEY.publicKey)) : pem(leaf);
  const stamp =
    stampedAt !== undefined && Buffer.from(store.timestamp(SIGNATURE, stampedAt)).toString("base64");
  return plainEvidence(bytesMessage(MESSAGE), SIGNATURE, {
    ...(leaf !== null && { certificate: pem(leaf) }),
    ...(chain !== undefined && { chain }),
    ...(loggedAt !== undefined && {
      rekorBundle: store.signedEntry(hashedrekord(MESSAGE, SIGNATURE, verifier), { at: loggedAt }),
    }),
    ...(stamp !== false && { timestamp: JSON.stringify({ SignedRFC3161Timestamp: stamp }) }),
  });
}

const check = async (made: Made, leaf: SignedBy) =>
  await checkSigner(evidence(made), leaf).catch(({ code, message }) => `${code}: ${message}`);

/** Until the test has finished. */
function setClock(now: number): void {
  const clock = vi.spyOn(Date, "now").mockReturnValue(now);
  onTestFinished(() => clock.mockRestore());
}

const BY_DEV = "certificate of dev@example.test (issuer https://issuer.example.test)";

describe("a certificate without a trusted time", () => {
  const leaf = keyless(ROOT, { log: IGNORED });

  test("counts now, as long as it and its issuers last", async () => {
    setClock(SIGNED_AT);
    expect(await check({}, leaf)).toEqual({ signer: BY_DEV, until: END });
    setClock(END);
    expect(await check({}, leaf)).toEqual({ signer: BY_DEV, until: END });
    setClock(END + 1);
    expect(await check({}, leaf)).toBe(
      "UNTRUSTED: its certificate has ended, and nothing that is trusted says when it was signed",
    );
    setClock(SIGNED_AT - 1001);
    expect(await check({}, leaf)).toMatch(/^UNTRUSTED: its certificate was valid from /);
  });

  test("is by a trusted authority, with a certificate timestamp", async () => {
    setClock(SIGNED_AT);
    const foreign = store.leaf(KEY.publicKey, { signer: alien.intermediate.privateKey });
    expect(await check({ leaf: foreign }, leaf)).toMatch(/does not lead to a trusted root$/);
    const silent = store.leaf(KEY.publicKey, {}, null);
    expect(await check({ leaf: silent }, leaf)).toMatch(/no signed certificate timestamp \(SCT\)$/);
    expect(await check({ leaf: silent }, { ...leaf, sct: "ignored" })).toMatchObject({ until: END });
  });

  test("does not count where a log is required", async () => {
    setClock(SIGNED_AT);
    const required = keyless(ROOT);
    expect(await check({}, required)).toBe("UNTRUSTED: it has no transparency log entry");
  });
});

describe("a certificate with a trusted time", () => {
  test("counts as of then, whoever says so", async () => {
    const leaf = keyless(ROOT, { log: IGNORED });
    expect(await check({ loggedAt: SIGNED_AT }, leaf)).toEqual({ signer: BY_DEV });
    expect(await check({ stampedAt: SIGNED_AT }, leaf)).toEqual({ signer: BY_DEV });
    expect(await check({ loggedAt: SIGNED_AT, stampedAt: SIGNED_AT }, keyless(ROOT))).toEqual({
      signer: BY_DEV,
    });
    const late = /^UNTRUSTED: its certificate was valid from /;
    expect(await check({ loggedAt: SIGNED_AT, stampedAt: SIGNED_AT + HOUR }, leaf)).toMatch(late);
    expect(await check({ loggedAt: SIGNED_AT + HOUR, stampedAt: SIGNED_AT }, leaf)).toMatch(late);
  });

  test("has each time that is demanded", async () => {
    const stamped = keyless(ROOT, { timestamps: "required" });
    expect(await check({ loggedAt: SIGNED_AT }, stamped)).toBe("UNTRUSTED: it has no timestamp");
    expect(await check({ stampedAt: SIGNED_AT }, stamped)).toBe(
      "UNTRUSTED: it has no transparency log entry",
    );
    expect(await check({ loggedAt: SIGNED_AT, stampedAt: SIGNED_AT }, stamped)).toEqual({ signer: BY_DEV });
  });

  test("is of an authority that was trusted then", async () => {
    const during = (start: number, end: number) => {
      const validFor = { start: new Date(start).toISOString(), end: new Date(end).toISOString() };
      const certificateAuthorities = ROOT.certificateAuthorities.map((it) => ({ ...it, validFor }));
      return keyless({ ...ROOT, certificateAuthorities }, { log: IGNORED });
    };
    expect(await check({ loggedAt: SIGNED_AT }, during(SIGNED_AT, SIGNED_AT))).toEqual({ signer: BY_DEV });
    const other = "UNTRUSTED: its certificate is not by an authority that was trusted when it was signed";
    expect(await check({ loggedAt: SIGNED_AT }, during(SIGNED_AT + 1, SIGNED_AT + 2))).toBe(other);
    const none = keyless({ ...ROOT, certificateAuthorities: [] }, { log: IGNORED });
    expect(await check({ loggedAt: SIGNED_AT }, none)).toBe(other);
  });

  test("may be of any of several authorities", async () => {
    const both = [...alien.trustedRoot().certificateAuthorities, ...ROOT.certificateAuthorities];
    for (const certificateAuthorities of [both, both.toReversed()])
      expect(
        await check({ loggedAt: SIGNED_AT }, keyless({ ...ROOT, certificateAuthorities }, { log: IGNORED })),
      ).toEqual({ signer: BY_DEV });
  });

  test("is logged by a log that was trusted at each time of a timestamp", async () => {
    const until = (end: number) => {
      const tlogs = ROOT.tlogs.map((it) => ({
        ...it,
        publicKey: {
          ...it.publicKey,
          validFor: { start: "2020-01-01T00:00:00Z", end: new Date(end).toISOString() },
        },
      }));
      return keyless({ ...ROOT, tlogs });
    };
    const made = { loggedAt: SIGNED_AT, stampedAt: SIGNED_AT + 1000 };
    expect(await check(made, until(SIGNED_AT + 1000))).toEqual({ signer: BY_DEV });
    expect(await check(made, until(SIGNED_AT + 999))).toMatch(/not signed by a log that was trusted then$/);
    expect(await check({ loggedAt: SIGNED_AT }, until(SIGNED_AT + 999))).toEqual({ signer: BY_DEV });
  });
});

describe("a key", () => {
  const keyFile = trustFile("key.pub", pemOf("PUBLIC KEY", spkiOf(KEY.publicKey)));
  const by = (change: Partial<SignedBy> = {}) =>
    keyless(ROOT, { signer: { kind: "keys", keys: [keyFile] }, log: IGNORED, ...change });
  const signer = expect.stringMatching(/^key sha256:/);

  test("needs neither a time nor a trusted root, unless one is demanded", async () => {
    const trustedRoot = trustFile("root.json", "junk");
    expect(await check({ leaf: null }, by({ trustedRoot }))).toEqual({ signer });
    for (const more of [{ timestamps: "required" as const }, { log: REQUIRED }])
      expect(await check({ leaf: null }, by({ trustedRoot, ...more }))).toMatch(/^CONFIG: /);
    expect(await check({ leaf: null, loggedAt: SIGNED_AT }, by({ log: REQUIRED }))).toEqual({ signer });
    expect(await check({ leaf: null }, by({ log: REQUIRED }))).toBe(
      "UNTRUSTED: it has no transparency log entry",
    );
  });

  test("of several is enough, and no other", async () => {
    const other = trustFile("other.pub", pemOf("PUBLIC KEY", spkiOf(newKey().publicKey)));
    const with2 = by({ signer: { kind: "keys", keys: [other, keyFile] } });
    expect(await check({ leaf: null }, with2)).toEqual({ signer });
    const without = by({ label: "the key", signer: { kind: "keys", keys: [other] } });
    expect(await check({ leaf: null }, without)).toBe(
      "UNTRUSTED: its signature is not by the key, or what it signs was changed",
    );
  });

  test("is not a certificate where the signature says that one made it", async () => {
    const made = { ...evidence(), madeWith: "certificate" as const };
    await expect(checkSigner(made, by())).rejects.toThrow(
      "it is signed with a certificate, and a key is demanded",
    );
  });
});

test("a certificate is needed where one is demanded", async () => {
  expect(await check({ leaf: null }, keyless(ROOT))).toBe(
    "UNTRUSTED: it has no certificate, which is demanded",
  );
  const other = store.leaf(newKey().publicKey);
  expect(await check({ leaf: other }, keyless(ROOT))).toBe(
    "UNTRUSTED: its signature is not by its certificate's key",
  );
  expect(await check({}, keyless(ROOT, { signer: { kind: "gpg", keyrings: [] } }))).toBe(
    "UNTRUSTED: it is not an OpenPGP signature, which is demanded",
  );
});

describe("an authority of containers-policy.json", () => {
  const identity = { subjects: [{ name: "email" as const, is: exact("dev@example.test") }] };
  const roots = trustFile("root.pem", pem(store.rootCertificate));
  const intermediates = trustFile("middle.pem", pem(store.intermediateCertificate));
  const by = (authority: CertificateAuthority, change: Partial<SignedBy> = {}) =>
    keyless(ROOT, {
      signer: { kind: "certificate", identity, authority },
      log: IGNORED,
      sct: "ignored",
      ...change,
    });
  const chain = pem(store.intermediateCertificate);

  test("fulcio needs a log's time, whether or not the policy demands it", async () => {
    const fulcio = by({ kind: "fulcio", roots });
    expect(await check({ chain }, fulcio)).toBe(
      "UNTRUSTED: nothing that is trusted says when it was signed: it has no signed entry timestamp",
    );
    expect(await check({ chain, loggedAt: SIGNED_AT }, fulcio)).toEqual({ signer: BY_DEV });
  });

  test("fulcio has a certificate timestamp where that is demanded", async () => {
    const fulcio = by({ kind: "fulcio", roots }, { sct: "required" });
    expect(await check({ chain, loggedAt: SIGNED_AT }, fulcio)).toEqual({ signer: BY_DEV });
    const leaf = store.leaf(KEY.publicKey, {}, null);
    expect(await check({ leaf, chain, loggedAt: SIGNED_AT }, fulcio)).toMatch(/\(SCT\)$/);
  });

  test("pki counts now, with the policy's intermediates or the signature's", async () => {
    setClock(SIGNED_AT);
    const counts = { signer: BY_DEV, until: END };
    expect(await check({}, by({ kind: "pki", roots, intermediates }))).toEqual(counts);
    expect(await check({ chain }, by({ kind: "pki", roots }))).toEqual(counts);
    expect(await check({}, by({ kind: "pki", roots }))).toMatch(/does not lead to a trusted root$/);
    setClock(SIGNED_AT + HOUR);
    expect(await check({ loggedAt: SIGNED_AT }, by({ kind: "pki", roots, intermediates }))).toMatch(
      /^UNTRUSTED: its certificate was valid from /,
    );
  });

  test("pki ends with the first of its certificates", async () => {
    setClock(SIGNED_AT);
    const short = certificate({
      ...{ subject: "intermediate", issuer: "root", key: store.intermediate.publicKey },
      ...{ signer: store.root.privateKey, notAfter: SIGNED_AT + 1000, extensions: [isCa()] },
    });
    const found = await check({ chain: pem(short) }, by({ kind: "pki", roots }));
    expect(found).toEqual({ signer: BY_DEV, until: SIGNED_AT + 1000 });
  });

  test("pki may issue certificates for any purpose, and fulcio may not", async () => {
    setClock(SIGNED_AT);
    const extensions = LEAF_EXTENSIONS.filter(({ oid }) => oid !== "551d25");
    const made = { leaf: store.leaf(KEY.publicKey, { extensions }, null), chain, loggedAt: SIGNED_AT };
    expect(await check(made, by({ kind: "pki", roots }))).toEqual({ signer: BY_DEV, until: END });
    expect(await check(made, by({ kind: "fulcio", roots }))).toMatch(/is not code signing$/);
  });
});

describe("a pinned certificate", () => {
  const issued = (change: Partial<CertificateSpec> = {}) => store.leaf(KEY.publicKey, change, null);
  const pinned = (leaf: Uint8Array, more: Partial<Signer & { kind: "pinned-certificate" }> = {}) =>
    keyless(ROOT, {
      log: IGNORED,
      signer: { kind: "pinned-certificate", certificates: [trustFile("pinned.pem", pem(leaf))], ...more },
    });
  const chain = trustFile("chain.pem", pem(store.intermediateCertificate, store.rootCertificate));

  test("counts from its beginning to its end, as of the log's time or now", async () => {
    const leaf = issued({ notBefore: SIGNED_AT - 5000, notAfter: SIGNED_AT + 5000 });
    const at = async (loggedAt: number) => await check({ leaf, loggedAt }, pinned(leaf));
    const not = "UNTRUSTED: its certificate was not valid when it was signed";
    expect(await at(SIGNED_AT - 5000)).toEqual({ signer: BY_DEV });
    expect(await at(SIGNED_AT + 5000)).toEqual({ signer: BY_DEV });
    expect(await at(SIGNED_AT - 6000)).toBe(not);
    expect(await at(SIGNED_AT + 6000)).toBe(not);
    expect(await check({ leaf }, pinned(leaf))).toBe(not);
    setClock(SIGNED_AT);
    expect(await check({ leaf }, pinned(leaf))).toEqual({ signer: BY_DEV, until: SIGNED_AT + 5000 });
    expect(await check({ leaf, stampedAt: SIGNED_AT + 6000 }, pinned(leaf))).toBe(not);
  });

  test("leads to the root of its chain, if the policy has one", async () => {
    const leaf = issued();
    expect(await check({ leaf, loggedAt: SIGNED_AT }, pinned(leaf, { chain }))).toEqual({ signer: BY_DEV });
    const other = trustFile("other.pem", pem(alien.intermediateCertificate, alien.rootCertificate));
    const rootless = trustFile("rootless.pem", pem(store.intermediateCertificate));
    for (const it of [other, rootless])
      expect(await check({ leaf, loggedAt: SIGNED_AT }, pinned(leaf, { chain: it }))).toMatch(
        /does not lead to a trusted root$/,
      );
    const stamping = issued({
      extensions: [...LEAF_EXTENSIONS.filter(({ oid }) => oid !== "551d25"), purpose(TIME_STAMPING)],
    });
    expect(await check({ leaf: stamping, loggedAt: SIGNED_AT }, pinned(stamping, { chain }))).toMatch(
      /is not code signing$/,
    );
    expect(await check({ leaf: stamping, loggedAt: SIGNED_AT }, pinned(stamping))).toEqual({
      signer: BY_DEV,
    });
  });

  test("ends with the first certificate of its chain", async () => {
    setClock(SIGNED_AT);
    const leaf = issued();
    const short = certificate({
      ...{ subject: "intermediate", issuer: "root", key: store.intermediate.publicKey },
      ...{ signer: store.root.privateKey, notAfter: SIGNED_AT + 1000, extensions: [isCa()] },
    });
    const limited = trustFile("chain.pem", pem(short, store.rootCertificate));
    expect(await check({ leaf }, pinned(leaf, { chain: limited }))).toEqual({
      signer: BY_DEV,
      until: SIGNED_AT + 1000,
    });
  });
});
