import { expect, test } from "vitest";
import { namesOf } from "../../../src/keywrap/recipient-names.ts";

const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };

test("an image names the provider of a provider's recipient", async () => {
  expect(await namesOf("provider:kms:key-1", SETTINGS)).toEqual(new Set(["provider.kms:(unnamed)"]));
});

test("a recipient whose packets name nobody can't be compared", async () => {
  await expect(namesOf("pkcs11:token.yaml", SETTINGS)).rejects.toMatchObject({
    code: "BAD_RECIPIENT",
    message: "pkcs11:token.yaml can't be compared: pkcs11 packets do not name their recipients",
    hint: expect.stringContaining("pkcs11:(unnamed)"),
  });
});

test.each(["jwe:", "mine.pem", "other:key"])("%j is no recipient", async (recipient) => {
  await expect(namesOf(recipient, SETTINGS)).rejects.toMatchObject({ code: "USAGE" });
});
