import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readCertificateFile } from "../../../src/keys/public-key.ts";
import { privateHalfHint, readRecipientFile } from "../../../src/keys/recipient.ts";
import { certificate, newKey, pemOf } from "../../support/sigstore.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const recipient = { scheme: "jwe", file: join(temporaryFolder(), "recipient") };

test.each([
  ["one byte", "x"],
  ["two bytes", "xy"],
])("a file of %s is read", async (_what, content) => {
  writeFileSync(recipient.file, content);
  expect(Buffer.from(await readRecipientFile(recipient)).toString()).toBe(content);
});

test("an empty file is refused", async () => {
  writeFileSync(recipient.file, "");
  await expect(readRecipientFile(recipient)).rejects.toThrow(
    expect.objectContaining({
      code: "BAD_RECIPIENT",
      message: `the recipient jwe:${recipient.file} is empty`,
    }),
  );
});

test("a PKCS#12 file in the place of a certificate is refused with the command that extracts it", async () => {
  writeFileSync(recipient.file, Uint8Array.of(0x30, 5, 2, 1, 3, 0x30, 0));
  await expect(readCertificateFile(recipient)).rejects.toThrow(
    expect.objectContaining({ code: "BAD_RECIPIENT", hint: expect.stringContaining("openssl pkcs12 -in ") }),
  );
});

test("a public key in the place of its private half leads to that, if it is there", () => {
  const file = join(temporaryFolder(), "node.pem");
  expect(privateHalfHint(`${file}.pub`)).not.toContain("--key");
  writeFileSync(file, "");
  expect(privateHalfHint(`${file}.pub`)).toMatch(new RegExp(`: --key ${file}$`));
  expect(privateHalfHint(file)).not.toContain("--key");
});

test("a certificate may stand beside its private key, which is none alone", async () => {
  const key = newKey();
  const now = Math.floor(Date.now() / 1000) * 1000;
  const certified = certificate({
    ...{ subject: "node", issuer: "node", key: key.publicKey, signer: key.privateKey, extensions: [] },
    ...{ notBefore: now - 3_600_000, notAfter: now + 3_600_000 },
  });
  const pem = key.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  writeFileSync(recipient.file, pem + pemOf("CERTIFICATE", certified));
  expect(await readCertificateFile(recipient)).toBeDefined();
  writeFileSync(recipient.file, pem);
  await expect(readCertificateFile(recipient)).rejects.toThrow(/is a private key$/);
  writeFileSync(recipient.file, pemOf("PUBLIC KEY", key.publicKey.export({ type: "spki", format: "der" })));
  await expect(readCertificateFile(recipient)).rejects.toThrow(/holds no X\.509 certificate$/);
});
