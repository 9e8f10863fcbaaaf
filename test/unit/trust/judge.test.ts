import { describe, expect, test } from "vitest";
import { DecoderError } from "../../../src/errors.ts";
import type { FoundSignature } from "../../../src/trust/found.ts";
import { judge } from "../../../src/trust/judge.ts";
import type { Requirement, SignedBy } from "../../../src/trust/requirement.ts";
import { certificate, newKey, type Pair, pemOf } from "../../support/sigstore.ts";
import { newSigner, signBytes, simplePayload } from "../../support/trust.ts";
import { demand, trustFile } from "./check/demand.ts";

const image = { digest: `sha256:${"a".repeat(64)}`, name: undefined };
const [trusted, stranger] = [newSigner(), newSigner()];
const requirement = demand({ signer: { kind: "keys", keys: [trustFile("key.pub", trusted.publicKey)] } });

function signatures(count: number): FoundSignature[] {
  const payload = simplePayload(image.digest, "a.b/c");
  const signature = signBytes(stranger, payload);
  return Array.from({ length: count }, (_, i) => ({ form: "simple", where: String(i), payload, signature }));
}

test("a deadline ends the check of many signatures", async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("time is up")));
  const findings = { found: signatures(512), failures: [] };
  await expect(judge({ requirement, image, signal: controller.signal }, findings)).rejects.toThrow(
    "time is up",
  );
});

test("512 checks are made, and no more", async () => {
  const { signatures: checked } = await judge(
    { requirement, image },
    { found: signatures(512), failures: [] },
  );
  expect(checked).toHaveLength(512);
  await expect(judge({ requirement, image }, { found: signatures(513), failures: [] })).rejects.toMatchObject(
    { code: "LIMIT" },
  );
});

const ACCEPT: Requirement = { kind: "accept" };
const REJECT: Requirement = { kind: "reject" };
const allOf = (...of: readonly Requirement[]): Requirement => ({ kind: "all-of", of });
const anyOf = (...of: readonly Requirement[]): Requirement => ({ kind: "any-of", of });
const byKey = (label: string, { publicKey }: { publicKey: string }, more: Partial<SignedBy> = {}) =>
  demand({ label, signer: { kind: "keys", keys: [trustFile("key.pub", publicKey)] }, ...more });

/** A signature by this signer. */
function signedBy(signer: typeof trusted, where = "the signature", name = "a.b/c:1"): FoundSignature {
  const payload = simplePayload(image.digest, name);
  return { form: "simple", where, payload, signature: signBytes(signer, payload) };
}

const unreadable = (where: string): FoundSignature => ({ form: "unreadable", where, problem: "it is lost" });
const [ann, bob] = [newSigner(), newSigner()];
const [byAnn, byBob] = [byKey("Ann", ann), byKey("Bob", bob)];

/** The judgement over these signatures. */
const decide = async (
  wanted: Requirement,
  found: readonly FoundSignature[],
  failures: readonly DecoderError[] = [],
) => await judge({ requirement: wanted, image }, { found, failures });
const accepts = async (wanted: Requirement, ...found: readonly FoundSignature[]) =>
  (await decide(wanted, found)).accepted;

describe("a tree of requirements", () => {
  test("accepts what all, or any, of its branches accept", async () => {
    const [a, b] = [signedBy(ann), signedBy(bob)];
    expect(await accepts(ACCEPT)).toBe(true);
    expect(await accepts(REJECT)).toBe(false);
    expect(await accepts(allOf(byAnn, byBob), a, b)).toBe(true);
    expect(await accepts(allOf(byAnn, byBob), a)).toBe(false);
    expect(await accepts(anyOf(byAnn, byBob), b)).toBe(true);
    expect(await accepts(anyOf(byAnn, byBob))).toBe(false);
    expect(await accepts(anyOf(byAnn, REJECT), a)).toBe(true);
    expect(await accepts(allOf(byAnn, REJECT), a)).toBe(false);
    expect(await accepts(anyOf(byAnn, ACCEPT))).toBe(true);
    for (const none of [allOf(), anyOf(), allOf(byAnn, anyOf()), anyOf(allOf())])
      expect(await accepts(none, a)).toBe(false);
  });

  test("says who signed, by the first signature that counts", async () => {
    const { signatures: checked, ...rest } = await decide(byAnn, [signedBy(bob, "1"), signedBy(ann, "2")]);
    const signer = expect.stringMatching(/^key sha256:/);
    expect(rest).toEqual({
      accepted: true,
      reason: expect.stringMatching(/^signed by key sha256:/),
      signer,
      ignored: [],
    });
    expect(checked.map(({ demand, where, verdict }) => [demand, where, verdict.counts])).toEqual([
      ["Ann", "1", false],
      ["Ann", "2", true],
    ]);
    expect(await decide(ACCEPT, [])).toEqual({
      accepted: true,
      reason: "the policy accepts it without a signature",
      signatures: [],
      ignored: [],
    });
  });
});

test("an acceptance lasts until the first certificate that it needs has ended", async () => {
  const now = Math.floor(Date.now() / 1000) * 1000;
  const hours = (count: number) => now + count * 3_600_000;
  const pinned = (key: Pair, notAfter: number) => {
    const der = certificate({
      ...{ subject: "dev", issuer: "dev", key: key.publicKey, signer: key.privateKey, extensions: [] },
      ...{ notBefore: hours(-1), notAfter },
    });
    const pem = pemOf("CERTIFICATE", der);
    const signer = { kind: "pinned-certificate", certificates: [trustFile("dev.pem", pem)] } as const;
    return { leaf: demand({ signer }), found: { ...signedBy(key as never), certificate: pem } };
  };
  const [late, early] = [pinned(newKey(), hours(2)), pinned(newKey(), hours(1))];
  const found = [late.found, early.found];
  expect(await decide(allOf(late.leaf, early.leaf), found)).toMatchObject({
    accepted: true,
    until: hours(1),
  });
  expect(await decide(late.leaf, found)).toMatchObject({ until: hours(2) });
});

describe("a refusal", () => {
  const refusal = async (wanted: Requirement, ...found: readonly FoundSignature[]) => {
    const { accepted, fault, reason } = await decide(wanted, found);
    return [accepted, fault, reason];
  };

  test("says that nothing was found, and what could not be read", async () => {
    expect(await refusal(byAnn)).toEqual([false, "unsigned", "no signature found for Ann"]);
    expect(await refusal(byAnn, unreadable("x"), unreadable("y"))).toEqual([
      ...[false, "unsigned"],
      "no signature found for Ann; x: it is lost",
    ]);
    const statement = (predicateType?: string) =>
      byKey("Ann", ann, { statement: { kind: "attestation", predicateType } });
    expect(await refusal(statement())).toEqual([false, "unsigned", "no attestation found for Ann"]);
    expect((await refusal(statement("https://t")))[2]).toBe("no attestation of type https://t found for Ann");
    const gpg = demand({ label: "Ann", signer: { kind: "gpg", keyrings: [] } });
    expect((await refusal(gpg, signedBy(ann)))[2]).toBe("no signature found for Ann");
  });

  test("names what is nearest to what was asked for", async () => {
    const identity = { kind: "exactReference", reference: "a.b/d:1" } as const;
    const named = byKey("Ann", ann, { identity });
    expect(await refusal(byAnn, signedBy(bob, "1"))).toEqual([
      ...[false, "wrong-signer"],
      "no signature satisfies Ann: 1: its signature is not by Ann, or what it signs was changed",
    ]);
    const [, , several] = await refusal(byAnn, signedBy(bob, "1"), signedBy(bob, "2"), signedBy(bob, "3"));
    expect(several).toMatch(/^no signature satisfies Ann: 1: .* \(and 2 more that do not count either\)$/);
    expect(await refusal(named, signedBy(bob, "1"), signedBy(ann, "2"))).toEqual([
      ...[false, "wrong-identity"],
      expect.stringMatching(/^no signature satisfies Ann: 2: .*a\.b\/d:1.* \(and 1 more/),
    ]);
  });

  test("names the first demand that nothing satisfies, or the policy", async () => {
    expect((await refusal(allOf(byAnn, byBob), signedBy(ann)))[2]).toMatch(/^no signature satisfies Bob: /);
    expect((await refusal(allOf(byBob, byAnn)))[2]).toBe("no signature found for Bob");
    const rejected = [false, "policy", "the policy rejects it"];
    expect(await refusal(REJECT)).toEqual(rejected);
    expect(await refusal(allOf(byAnn, REJECT), signedBy(ann))).toEqual(rejected);
    expect(await refusal(allOf(byAnn, anyOf()), signedBy(ann))).toEqual(rejected);
  });

  test("is the failure of a place, where a signature might have been", async () => {
    const failures = [new DecoderError("REGISTRY", "the first"), new DecoderError("IO", "the second")];
    await expect(decide(byAnn, [signedBy(bob)], failures)).rejects.toThrow("the first");
    expect(await decide(byAnn, [signedBy(ann)], failures)).toMatchObject({ accepted: true });
    expect(await decide(REJECT, [], failures)).toMatchObject({ accepted: false, fault: "policy" });
  });
});

test("a signature of a form that nothing asks for is ignored, and not checked", async () => {
  const empty = new Uint8Array();
  const envelope: FoundSignature = { form: "envelope", where: "envelope", envelope: empty };
  const bundle: FoundSignature = { form: "bundle", where: "bundle", bundle: empty };
  const gpg: FoundSignature = { form: "gpg", where: "gpg", message: empty };
  const all = [signedBy(bob, "simple"), envelope, bundle, gpg, unreadable("lost")];
  const attested = byKey("Ann", ann, { statement: { kind: "attestation", predicateType: undefined } });
  const keyring = demand({ label: "GPG", signer: { kind: "gpg", keyrings: [] } });
  const checkedOf = async (wanted: Requirement) => {
    const { signatures: checked, ignored } = await decide(wanted, all);
    const reasons = new Map(ignored.map(({ where, reason }) => [where, reason]));
    expect(reasons.get("lost")).toBe("it is lost");
    reasons.delete("lost");
    for (const [where, reason] of reasons)
      expect(reason).toBe(`a ${where} signature is not what is asked for`);
    return [checked.map(({ where }) => where), [...reasons.keys()]];
  };
  expect(await checkedOf(byAnn)).toEqual([
    ["simple", "bundle"],
    ["envelope", "gpg"],
  ]);
  expect(await checkedOf(attested)).toEqual([
    ["envelope", "bundle"],
    ["simple", "gpg"],
  ]);
  expect(await checkedOf(keyring)).toEqual([["gpg"], ["simple", "envelope", "bundle"]]);
  expect(await checkedOf(anyOf(byAnn, attested))).toEqual([
    ["simple", "bundle", "envelope", "bundle"],
    ["gpg"],
  ]);
});
