import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readCertificateFile } from "../../../src/keys/public-key.ts";
import { privateHalfHint, readRecipientFile } from "../../../src/keys/recipient.ts";
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
