import { createPrivateKey, generateKeyPairSync, type webcrypto } from "node:crypto";
import { describe, expect, test } from "vitest";
import { parseJwks } from "../../../src/keys/jwk.ts";
import type { KeyResult } from "../../../src/keys/private-key.ts";
import { rsaPair } from "../../support/rsa.ts";

type JsonWebKey = webcrypto.JsonWebKey;

const rsa = rsaPair(2048).privateKey.export({ format: "jwk" });
const CURVES = ["P-256", "P-384", "P-521"] as const;
const ec = (namedCurve: string) =>
  generateKeyPairSync("ec", { namedCurve }).privateKey.export({ format: "jwk" });
const p256 = ec("P-256");

const parse = (value: unknown) =>
  parseJwks(new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value)), "key.jwk");
const only = (value: unknown): KeyResult | undefined => parse(value)?.[0];

function exported(result: KeyResult | undefined): JsonWebKey {
  if (result === undefined || "reason" in result) throw new Error(`no key: ${result?.reason}`);
  return createPrivateKey({ key: Buffer.from(result.pkcs8.bytes), format: "der", type: "pkcs8" }).export({
    format: "jwk",
  });
}

test("RSA", () => {
  expect(only(rsa)).toMatchObject({ type: "rsa", modulusLength: 2048, origin: "key.jwk" });
  expect(exported(only(rsa))).toEqual(rsa);
});

test.each(CURVES)("%s", (curve) => {
  const jwk = ec(curve);
  expect(only(jwk)).toMatchObject({ type: "ec", curve });
  expect(exported(only(jwk))).toEqual(jwk);
});

test("kid, alg and use", () => {
  expect(only({ ...p256, kid: "a", alg: "ECDH-ES+A256KW", use: "enc" })).toMatchObject({
    kid: "a",
    alg: "ECDH-ES+A256KW",
  });
  expect(Object.keys(only({ ...p256, kid: 5, alg: null }) ?? {})).not.toContain("kid");
});

test("coordinates whose leading zeros were stripped", () => {
  const jwk = jwkWithLeadingZero();
  const stripped = {
    ...jwk,
    x: Buffer.from(jwk.x ?? "", "base64url")
      .subarray(1)
      .toString("base64url"),
  };
  expect(exported(only(stripped))).toEqual(jwk);
});

function jwkWithLeadingZero(): JsonWebKey {
  for (;;) {
    const jwk = ec("P-256");
    if (jwk.x?.startsWith("AA") || jwk.x?.startsWith("AB") || jwk.x?.startsWith("AC")) return jwk;
  }
}

test("the keys of a set, each for itself", () => {
  const results = parse({ keys: [{ ...p256, kid: "a" }, { kty: "oct", k: "AA", d: "x" }, 5, rsa] });
  expect(results).toMatchObject([
    { type: "ec", kid: "a", origin: "key.jwk#0" },
    { reason: expect.stringContaining("type") },
    { reason: expect.stringContaining("object") },
    { type: "rsa", origin: "key.jwk#3" },
  ]);
  expect(parse({ keys: [] })).toEqual([]);
});

test.each([["text"], ["[]"], ["5"], ["{}"], [{ keys: {} }], [{ n: "x" }]])(
  "%j is neither a JWK nor a set",
  (value) => {
    expect(parse(value)).toBeNull();
  },
);

describe("a JWK that can't be used says why", () => {
  const without = (jwk: JsonWebKey, name: string) =>
    Object.fromEntries(Object.entries(jwk).filter(([key]) => key !== name));
  test.each<[string, object, RegExp]>([
    ["a public RSA key", { kty: "RSA", n: rsa.n, e: rsa.e }, /^a public key$/],
    ["a public EC key", without(p256, "d"), /^a public key$/],
    ["for signing", { ...p256, use: "sig" }, /use/],
    ["a symmetric key", { kty: "oct", k: "AAAA", d: "x" }, /type/],
    ["an octet key pair", { kty: "OKP", crv: "X25519", x: "AAAA", d: "AAAA" }, /type/],
    ["a kty in another case", { ...p256, kty: "ec" }, /type/],
    ["another curve", { ...p256, crv: "secp256k1" }, /curve/],
    ["no curve", without(p256, "crv"), /curve/],
    ["a coordinate too long", { ...p256, x: `AAAA${p256.x}` }, /too long/],
    ["no x", without(p256, "x"), /x, y and d/],
    ["an empty d", { ...p256, d: "" }, /x, y and d/],
    ["a d that is no base64url", { ...p256, d: "hunter2!" }, /x, y and d/],
    ["a d that is a number", { ...p256, d: 5 }, /x, y and d/],
    ["RSA without its factors", without(rsa, "qi"), /"qi"/],
    ["RSA of three primes", { ...rsa, oth: [] }, /two primes/],
    ["a small RSA key", { ...rsa, n: "AQAB" }, /17 bits/],
  ])("%s", (_what, jwk, reason) => {
    expect(only(jwk)).toEqual({ reason: expect.stringMatching(reason) });
    expect(JSON.stringify(only(jwk))).not.toContain("hunter2");
  });
});
