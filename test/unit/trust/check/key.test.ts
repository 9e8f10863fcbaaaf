import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { ed25519Advice, readPublicKey } from "../../../../src/trust/check/key.ts";

const key = (pair: { readonly publicKey: import("node:crypto").KeyObject }) =>
  readPublicKey(new Uint8Array(pair.publicKey.export({ format: "der", type: "spki" })), "spki", "key");
const EC = key(generateKeyPairSync("ec", { namedCurve: "P-256" }));
const ED25519 = key(generateKeyPairSync("ed25519"));

test.each([
  [2047, false],
  [2048, true],
  [8192, true],
  [8193, false],
])("an RSA key of %i bits is allowed: %s", (bits, isAllowed) => {
  // Any odd number of that size will do.
  const modulus = Buffer.alloc(Math.ceil(bits / 8), 0xff);
  modulus[0] = 2 ** ((bits - 1) % 8);
  const jwk = { kty: "RSA", n: modulus.toString("base64url"), e: "AQAB" };
  const read = () => key({ publicKey: createPublicKey({ key: jwk, format: "jwk" }) });
  if (isAllowed) expect(read()).toMatchObject({ algorithm: "rsa" });
  else expect(read).toThrow(expect.objectContaining({ code: "BAD_KEY" }));
});

test("one Ed25519 key is enough for advice on a signature of its size", () => {
  const [signature, longer] = [new Uint8Array(64), new Uint8Array(65)];
  expect(ed25519Advice([EC, ED25519], signature)).toMatch(/Ed25519ph, .* is not supported/);
  expect(ed25519Advice([EC, ED25519], longer)).toBe("");
  expect(ed25519Advice([EC], signature)).toBe("");
});
