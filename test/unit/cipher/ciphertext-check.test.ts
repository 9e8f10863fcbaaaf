import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { CiphertextCheck } from "../../../src/cipher/ciphertext-check.ts";

const BYTES = Buffer.from("0123456789");
const hex = (algorithm: string) => createHash(algorithm).update(BYTES).digest("hex");
const failing = (code: string) => expect.objectContaining({ code });

async function checkOf(size: number | undefined, digest?: string): Promise<CiphertextCheck> {
  const check = await CiphertextCheck.create({ size, digest });
  check.update(BYTES.subarray(0, 4));
  check.update(BYTES.subarray(4, 9));
  return check;
}

test("counts, without expectations too", async () => {
  const check = await checkOf(undefined);
  check.update(BYTES);
  check.finish();
  expect(check.count).toBe(19);
});

test("the size may be reached, not exceeded", async () => {
  const check = await checkOf(10);
  check.update(BYTES.subarray(9));
  check.update(new Uint8Array());
  check.finish();
  expect(check.count).toBe(10);
  expect(() => check.update(Uint8Array.of(1))).toThrow(failing("SIZE_MISMATCH"));
});

test.each(["sha256", "sha512"])("a right %s digest passes, a wrong one does not", async (algorithm) => {
  const right = await checkOf(undefined, `${algorithm}:${hex(algorithm)}`);
  right.update(BYTES.subarray(9));
  expect(() => right.finish()).not.toThrow();
  const wrong = await checkOf(undefined, `${algorithm}:${hex(algorithm)}`);
  wrong.update(Buffer.from("x"));
  expect(() => wrong.finish()).toThrow(failing("DIGEST_MISMATCH"));
});

test.each([
  "",
  "sha256:",
  `sha256:${hex("sha512")}`,
  `sha256:${hex("sha256").toUpperCase()}`,
  `sha256:${hex("sha256")}0`,
  `sha256:${hex("sha256")}\n`,
  `sha1:${hex("sha1")}`,
  `md5:${hex("md5")}`,
  `constructor:${hex("sha256")}`,
  hex("sha256"),
])("the digest %j can't be checked", async (digest) => {
  await expect(CiphertextCheck.create({ size: undefined, digest })).rejects.toThrow(
    failing("BAD_DESCRIPTOR"),
  );
});

test("a forged layer's error tells of a cut, and no MAC", async () => {
  const cut = (await checkOf(10)).forged();
  expect(cut).toMatchObject({ code: "AUTHENTICATION", message: expect.stringContaining("9 of 10 bytes") });
  const whole = await checkOf(9);
  expect(whole.forged().message).not.toMatch(/\d/);
  expect((await checkOf(undefined)).forged().message).not.toMatch(/\d/);
});
