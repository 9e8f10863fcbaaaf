import { createDecipheriv, createHash, createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { LayerEncryptor } from "../../../src/cipher/encrypt.ts";
import { parseLayerOptions, parsePublicOptions } from "../../../src/cipher/options.ts";
import { Secret } from "../../../src/secret.ts";
import { PUBLIC_OPTIONS } from "../../../src/spec/annotations.ts";
import { plainBytes, release } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const PLAIN = plainBytes(100_000);

function encrypt() {
  const encryptor = new LayerEncryptor();
  const parts = [PLAIN.subarray(0, 7), PLAIN.subarray(7, 7), PLAIN.subarray(7)].map((part) =>
    encryptor.update(part),
  );
  const { privateOptions, publicOptions } = encryptor.finish();
  return { ciphertext: Buffer.concat(parts), privateOptions, publicOptions };
}

const json = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString());

test("AES-256-CTR, HMAC-SHA256 over the ciphertext, and the plaintext's digest", () => {
  const { ciphertext, privateOptions, publicOptions } = encrypt();
  const { symkey, digest, cipheroptions } = json(privateOptions);
  const { cipher, hmac, cipheroptions: open } = json(publicOptions);
  const [key, nonce] = [Buffer.from(symkey, "base64"), Buffer.from(cipheroptions.nonce, "base64")];
  expect([key.length, nonce.length, cipher, open]).toEqual([32, 16, "AES_256_CTR_HMAC_SHA256", {}]);
  expect(createDecipheriv("aes-256-ctr", key, nonce).update(ciphertext)).toEqual(PLAIN);
  expect(createHmac("sha256", key).update(ciphertext).digest("base64")).toBe(hmac);
  expect(digest).toBe(`sha256:${createHash("sha256").update(PLAIN).digest("hex")}`);
});

test("each layer has a key and a nonce of its own", () => {
  const options = [encrypt(), encrypt()].map((it) => json(it.privateOptions));
  expect(new Set(options.map((it) => it.symkey)).size).toBe(2);
  expect(new Set(options.map((it) => it.cipheroptions.nonce)).size).toBe(2);
});

test("our own decryption opens it", async () => {
  const { ciphertext, privateOptions, publicOptions } = encrypt();
  const annotations = { [PUBLIC_OPTIONS]: Buffer.from(publicOptions).toString("base64") };
  const secret = new Secret(Uint8Array.from(privateOptions));
  const options = parseLayerOptions(parsePublicOptions(annotations), secret);
  expect(await release(folder, { ciphertext, options })).toMatchObject({ code: undefined, written: PLAIN });
});
