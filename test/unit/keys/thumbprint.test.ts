import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { kidOf, thumbprint, thumbprintOf, thumbprints } from "../../../src/keys/thumbprint.ts";
import { Secret } from "../../../src/secret.ts";
import { asymmetricKey } from "../../support/jwe.ts";
import { rsaPair } from "../../support/rsa.ts";

test("the thumbprint is that of RFC 7638 §3.1", () => {
  const n =
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
  const jwk = { alg: "RS256", e: "AQAB", kid: "2011-04-29", kty: "RSA", n };
  expect(thumbprint(jwk)).toBe("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
});

test.each([
  ["RSA", rsaPair(2048)],
  ["EC", generateKeyPairSync("ec", { namedCurve: "P-384" })],
])("both halves of an %s key have one thumbprint", (_type, { privateKey, publicKey }) => {
  const key = asymmetricKey(privateKey);
  const expected = thumbprint({ ...publicKey.export({ format: "jwk" }) });
  expect(thumbprintOf(key)).toBe(expected);
  expect(kidOf(key)).toBe(expected);
  expect(kidOf({ ...key, kid: "node-1" })).toBe("node-1");
});

test("a damaged key has no thumbprint and does not stop the others", () => {
  const good = asymmetricKey(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
  const damaged = { ...good, pkcs8: new Secret(new Uint8Array(8)) };
  expect([...thumbprints([damaged, good]).keys()]).toEqual([good]);
});
