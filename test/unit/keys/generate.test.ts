import { createPrivateKey, createPublicKey } from "node:crypto";
import { expect, test } from "vitest";
import { generateKeys, thumbprintOf } from "../../../src/keys/generate.ts";

test("the thumbprint is that of RFC 7638 §3.1", () => {
  const n =
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
  const jwk = { alg: "RS256", e: "AQAB", kid: "2011-04-29", kty: "RSA", n };
  expect(thumbprintOf(jwk)).toBe("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
});

test.each(["P-256", "P-384", "P-521"] as const)("%s keys, as PEM and as JWK", async (curve) => {
  const pem = await generateKeys({ type: "ec", curve }, "pem");
  expect(pem.privateKey).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
  const own = createPublicKey(pem.privateKey).export({ format: "pem", type: "spki" });
  expect(own).toBe(pem.publicKey);

  const jwk = await generateKeys({ type: "ec", curve }, "jwk");
  const [secret, open] = [JSON.parse(jwk.privateKey), JSON.parse(jwk.publicKey)];
  expect(open).toEqual({
    kty: "EC",
    crv: curve,
    x: secret.x,
    y: secret.y,
    kid: thumbprintOf(open),
    use: "enc",
    alg: "ECDH-ES+A256KW",
  });
  expect(createPrivateKey({ key: secret, format: "jwk" }).asymmetricKeyDetails?.namedCurve).toBeDefined();
  expect(jwk.thumbprint).toBe(open.kid);
});

test("RSA keys of the size that was asked for", async () => {
  const { privateKey, publicKey } = await generateKeys({ type: "rsa", bits: 2048 }, "pem");
  expect(createPrivateKey(privateKey).asymmetricKeyDetails).toMatchObject({
    modulusLength: 2048,
    publicExponent: 65537n,
  });
  expect(createPublicKey(publicKey).asymmetricKeyType).toBe("rsa");
});
