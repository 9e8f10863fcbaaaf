import { generateKey } from "openpgp";
import { expect, test } from "vitest";
import { readKeyring } from "../../../src/trust/check/gpg.ts";
import { readPublicKeys } from "../../../src/trust/check/key.ts";
import { parsePolicy } from "../../../src/trust/policy/read-policy.ts";
import { readSigningKey } from "../../../src/trust/sign/cosign-key.ts";
import { newSigner } from "../../support/trust.ts";
import { trustFile } from "./check/demand.ts";

const { privateKey, publicKey } = newSigner();
const SETTINGS = { scopeIsIdentity: false, unmatched: "reject", trustedRoot: undefined } as const;

test.each<[string, () => Promise<string> | string, (text: string) => unknown]>([
  ["a public key", () => publicKey, (text) => readPublicKeys(trustFile("a", text))],
  [
    "a signing key",
    () => privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    (text) => readSigningKey(Buffer.from(text), undefined, "a"),
  ],
  [
    "a keyring",
    async () => (await generateKey({ userIDs: [{ name: "a" }] })).publicKey,
    (text) => readKeyring(trustFile("a", text)),
  ],
  [
    "a policy",
    () => '{"default":[{"type":"reject"}]}',
    (text) => parsePolicy(Buffer.from(text), "policy a", SETTINGS),
  ],
])("%s with a byte order mark is refused, and the hint says so", async (_what, text, read) => {
  const call = async (it: string) => await read(it);
  await call(await text());
  await expect(call(`\ufeff${await text()}`)).rejects.toMatchObject({
    hint: expect.stringContaining("byte order mark"),
  });
});
