import { expect, test } from "vitest";
import { openInMemory } from "../../../src/cipher/release.ts";
import { encryptLayer, flipBit, openWhole, plainBytes } from "../../support/layer.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const own = (bytes: Uint8Array) => Uint8Array.from(bytes);

test("NIST SP 800-38A F.5.6, CTR-AES256.Decrypt", async () => {
  const plaintext = hex(
    "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51" +
      "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710",
  );
  const ciphertext = hex(
    "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5" +
      "2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6",
  );
  const layer = encryptLayer(plaintext);
  expect(layer.ciphertext).toEqual(ciphertext);
  expect(await openWhole(ciphertext, layer.options())).toEqual(own(plaintext));
});

test.each([0, 1, 15, 16, 17, 65536, 100_003, 131_072, 131_073, 262_144, 300_001])(
  "%i bytes",
  async (length) => {
    const layer = encryptLayer(plainBytes(length));
    expect(await openWhole(layer.ciphertext, layer.options())).toEqual(own(layer.plaintext));
  },
);

test("the plaintext comes in pieces of 128 KiB", async () => {
  const layer = encryptLayer(plainBytes(300_001));
  const sizes: number[] = [];
  for await (const piece of (await openInMemory(own(layer.ciphertext), layer.options())) ?? [])
    sizes.push(piece.length);
  expect(sizes).toEqual([131_072, 131_072, 37_857]);
});

test.each([
  ["all 16 bytes of the nonce count, over their end too", Buffer.alloc(16, 0xff)],
  ["the counter carries between two pieces", Buffer.alloc(16, 0xff).fill(0xe0, 14)],
  ["the counter of a piece carries into many bytes", hex("00 00000000 ffffffff ffffffff ffe000")],
])("%s", async (_what, nonce) => {
  const layer = encryptLayer(plainBytes(300_000), undefined, nonce);
  expect(await openWhole(layer.ciphertext, layer.options())).toEqual(own(layer.plaintext));
});

test.each([
  ["a changed ciphertext", (bytes: Buffer) => flipBit(bytes, 50)],
  ["a shorter one", (bytes: Buffer) => bytes.subarray(1)],
  ["a longer one", (bytes: Buffer) => Buffer.concat([bytes, Buffer.of(0)])],
  ["none", () => Buffer.alloc(0)],
])("%s is not opened", async (_what, change) => {
  const layer = encryptLayer(plainBytes(100));
  expect(await openWhole(change(layer.ciphertext), layer.options())).toBeNull();
});

test("another hmac does not open it", async () => {
  const layer = encryptLayer(plainBytes(100));
  for (const position of [0, 15, 31]) {
    const options = layer.options({ hmac: flipBit(layer.hmac, position) });
    expect(await openWhole(layer.ciphertext, options)).toBeNull();
  }
});
