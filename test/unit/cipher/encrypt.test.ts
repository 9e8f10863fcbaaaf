import { createDecipheriv, createHmac } from "node:crypto";
import { once } from "node:events";
import type { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { WORKER_BYTES } from "../../../src/cipher/authenticator.ts";
import { LayerEncryptor } from "../../../src/cipher/encrypt.ts";
import { parseLayerOptions, parsePublicOptions } from "../../../src/cipher/options.ts";
import { PUBLIC_OPTIONS } from "../../../src/spec/annotations.ts";
import { sha256 } from "../../support/images.ts";
import { plainBytes, release } from "../../support/layer.ts";
import { watchSecrets } from "../../support/secrets.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const PLAIN = plainBytes(100_000);

/** From here on the ciphertext is hashed on a thread of its own. */
const LARGE = WORKER_BYTES + 1;

function encrypt(size = PLAIN.length) {
  const encryptor = new LayerEncryptor({ size });
  const parts = [PLAIN.subarray(0, 7), PLAIN.subarray(7, 7), PLAIN.subarray(7)].map((part) =>
    encryptor.update(part),
  );
  return { ciphertext: Buffer.concat(parts), ...encryptor.finish() };
}

const json = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString());

test.each([
  ["on one thread", PLAIN.length],
  ["on two", LARGE],
])("AES-256-CTR, HMAC-SHA256 over the ciphertext, and both digests, %s", (_threads, size) => {
  const { ciphertext, privateOptions, publicOptions, digest: encrypted } = encrypt(size);
  const { symkey, digest, cipheroptions } = json(privateOptions);
  const { cipher, hmac, cipheroptions: open } = json(publicOptions);
  const [key, nonce] = [Buffer.from(symkey, "base64"), Buffer.from(cipheroptions.nonce, "base64")];
  expect([key.length, nonce.length, cipher, open]).toEqual([32, 16, "AES_256_CTR_HMAC_SHA256", {}]);
  expect(createDecipheriv("aes-256-ctr", key, nonce).update(ciphertext)).toEqual(PLAIN);
  expect(createHmac("sha256", key).update(ciphertext).digest("base64")).toBe(hmac);
  expect([digest, encrypted]).toEqual([sha256(PLAIN), sha256(ciphertext)]);
});

test("each layer has a key and a nonce of its own", () => {
  const options = [encrypt(), encrypt()].map((it) => json(it.privateOptions));
  expect(new Set(options.map((it) => it.symkey)).size).toBe(2);
  expect(new Set(options.map((it) => it.cipheroptions.nonce)).size).toBe(2);
});

test("our own decryption opens it", async () => {
  const { ciphertext, privateOptions, publicOptions } = encrypt();
  const annotations = { [PUBLIC_OPTIONS]: Buffer.from(publicOptions).toString("base64") };
  const options = parseLayerOptions(parsePublicOptions(annotations), privateOptions);
  expect(await release(folder, { ciphertext, options })).toMatchObject({ code: undefined, written: PLAIN });
});

test("an encryption that is given up ends its thread", async () => {
  const started = once(process, "worker");
  const encryptor = new LayerEncryptor({ size: LARGE });
  encryptor.update(PLAIN);
  const [worker] = (await started) as [Worker];
  encryptor.close();
  expect(await once(worker, "exit")).toEqual([0]);
});

test("the key is zeroed at the end", () => {
  const secrets = watchSecrets();
  encrypt();
  expect(secrets.left()).toEqual([]);
});
