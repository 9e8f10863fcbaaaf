import { generateKeyPairSync } from "node:crypto";
import { expect, onTestFinished, test, vi } from "vitest";
import { CekUnwrapper } from "../../../../src/keywrap/jwe/cek.ts";
import { asymmetricKey } from "../../../support/jwe.ts";
import { rsaPair } from "../../../support/rsa.ts";

/** @returns the forms in which WebCrypto imports keys from now on, each with its size: "raw 65" */
function watchImports(): () => string[] {
  const spy = vi.spyOn(crypto.subtle, "importKey");
  onTestFinished(() => spy.mockRestore());
  return () => spy.mock.calls.map(([form, key]) => `${form} ${(key as Uint8Array).byteLength}`);
}

test("an RSA key is imported once for each hash, however many recipients it is tried for", async () => {
  const imports = watchImports();
  const key = asymmetricKey(rsaPair(2048).privateKey);
  const unwrapper = new CekUnwrapper();
  for (const hash of ["SHA-1", "SHA-1", "SHA-256", "SHA-1", "SHA-256"] as const) {
    const wrapped = { type: "rsa", hash, encryptedKey: new Uint8Array(256) } as const;
    expect(await unwrapper.unwrap(wrapped, key, 32)).toBeNull();
  }
  const form = `pkcs8 ${key.pkcs8.bytes.length}`;
  expect(imports()).toEqual([form, form]);
});

test("an EC key is imported once, and so is each recipient's ephemeral one", async () => {
  const imports = watchImports();
  const pairs = Array.from({ length: 3 }, () => generateKeyPairSync("ec", { namedCurve: "P-256" }));
  const { x = "", y = "" } = pairs[0]?.publicKey.export({ format: "jwk" }) ?? {};
  const epk = Uint8Array.from([4, ...Buffer.from(x, "base64url"), ...Buffer.from(y, "base64url")]);
  const wrapped = {
    ...({ type: "ecdh", curve: "P-256", epk, kekBytes: 32 } as const),
    ...{ otherInfo: new Uint8Array(), encryptedKey: new Uint8Array(40) },
  } as const;
  const unwrapper = new CekUnwrapper();
  const keys = pairs.map(({ privateKey }) => asymmetricKey(privateKey));
  for (const key of [...keys, ...keys]) expect(await unwrapper.unwrap(wrapped, key, 32)).toBeNull();
  expect(imports().filter((it) => it.startsWith("pkcs8 "))).toHaveLength(3);
  expect(imports().filter((it) => it === `raw ${epk.length}`)).toHaveLength(1);
});
