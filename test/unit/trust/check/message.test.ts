import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bytesMessage, fileMessage } from "../../../../src/trust/check/message.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const path = join(temporaryFolder(), "file");
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });

test("a file of more than 256 MiB is too large for an Ed25519 signature", async () => {
  writeFileSync(path, "");
  truncateSync(path, 268_435_457);
  const message = fileMessage(path);
  await expect(message.verify(publicKey, null, new Uint8Array(64))).rejects.toMatchObject({ code: "LIMIT" });
});

test("a file of several pieces is read like the same bytes in memory", async () => {
  const bytes = Buffer.from("some text, ".repeat(200_000));
  writeFileSync(path, bytes);
  for (const message of [bytesMessage(bytes), fileMessage(path)]) {
    for (const hash of ["sha256", "sha384", "sha512"] as const)
      expect(Buffer.from(await message.digest(hash))).toEqual(createHash(hash).update(bytes).digest());
    const pure = sign(null, bytes, privateKey);
    expect(await message.verify(publicKey, null, pure)).toBe(true);
    expect(await message.verify(publicKey, null, pure.subarray(1))).toBe(false);
    expect(await message.verify(publicKey, "sha256", pure)).toBe(false);
    const hashed = sign("sha256", bytes, ec.privateKey);
    expect(await message.verify(ec.publicKey, "sha256", hashed)).toBe(true);
    expect(await message.verify(ec.publicKey, "sha256", hashed.subarray(1))).toBe(false);
    expect(await message.verify(ec.publicKey, "sha384", hashed)).toBe(false);
  }
});

test("a file that changes between two readings is noticed", async () => {
  writeFileSync(path, "before");
  const message = fileMessage(path);
  await message.digest("sha256");
  await message.digest("sha512");
  writeFileSync(path, "after");
  const changed = { code: "UNTRUSTED", message: `${path} changed while its signature was checked` };
  await expect(message.digest("sha256")).rejects.toMatchObject(changed);
  await expect(message.verify(ec.publicKey, "sha256", new Uint8Array(64))).rejects.toMatchObject(changed);
});

test("a file that can't be read is an error, not a wrong signature", async () => {
  const missing = fileMessage(`${path}-missing`);
  await expect(missing.digest("sha256")).rejects.toMatchObject({ code: "IO" });
  await expect(missing.verify(ec.publicKey, "sha256", new Uint8Array())).rejects.toMatchObject({
    code: "IO",
  });
});
