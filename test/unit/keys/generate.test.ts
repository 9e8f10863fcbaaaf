import { createPrivateKey, createPublicKey } from "node:crypto";
import { expect, test } from "vitest";
import { generateKeys } from "../../../src/keys/generate.ts";
import { thumbprint } from "../../../src/keys/thumbprint.ts";

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
    kid: thumbprint(open),
    use: "enc",
    alg: "ECDH-ES+A256KW",
  });
  expect(createPrivateKey({ key: secret, format: "jwk" }).asymmetricKeyDetails?.namedCurve).toBeDefined();
  expect(jwk.kid).toBe(open.kid);
});

test("RSA keys of the size that was asked for", async () => {
  const { privateKey, publicKey } = await generateKeys({ type: "rsa", bits: 2048 }, "pem");
  expect(createPrivateKey(privateKey).asymmetricKeyDetails).toMatchObject({
    modulusLength: 2048,
    publicExponent: 65537n,
  });
  expect(createPublicKey(publicKey).asymmetricKeyType).toBe("rsa");
});
