import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { CiphertextCheck } from "../../../src/cipher/ciphertext-check.ts";
import { Digester } from "../../../src/io/digester.ts";

const BYTES = Buffer.from("0123456789");
const hex = (algorithm: string) => createHash(algorithm).update(BYTES).digest("hex");
const failing = (code: string) => expect.objectContaining({ code });

async function checkOf(size: number | undefined, digest?: string): Promise<CiphertextCheck> {
  const check = await CiphertextCheck.create({ size, digest });
  check.hashWith((algorithm) => new Digester(algorithm));
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

test.each(["sha256", "sha384", "sha512"])("a %s digest of the whole is compared", async (algorithm) => {
  const check = async (size: number, bytes: Buffer) => {
    const created = await CiphertextCheck.create({ size, digest: `${algorithm}:${hex(algorithm)}` });
    await created.takeWhole(new Uint8Array(bytes));
    created.finish();
    return created.count;
  };
  expect(await check(10, BYTES)).toBe(10);
  await expect(check(10, Buffer.from("012345678x"))).rejects.toThrow(failing("DIGEST_MISMATCH"));
  await expect(check(9, BYTES)).rejects.toThrow(failing("SIZE_MISMATCH"));
});

test("a digest that nothing was hashed for does not match", async () => {
  const check = await CiphertextCheck.create({ size: 10, digest: `sha256:${hex("sha256")}` });
  check.update(BYTES);
  expect(() => check.finish()).toThrow(failing("DIGEST_MISMATCH"));
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
