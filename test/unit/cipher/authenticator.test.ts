import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CHUNK_BYTES, isAuthenticFile, isSameHmac } from "../../../src/cipher/authenticator.ts";
import { LayerDecryptor } from "../../../src/cipher/decrypt.ts";
import { FileInput } from "../../../src/io/file-input.ts";
import { encryptLayer, flipBit, openWhole, plainBytes, release } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const layer = encryptLayer(plainBytes(1000));
const path = join(folder, "blob");
writeFileSync(path, layer.ciphertext);

/** Every byte of the HMAC counts: one that is compared in part only is easier to forge. */
describe.each(Array.from({ length: 32 }, (_, i) => i))("a layer whose HMAC differs in byte %i", (i) => {
  const hmac = flipBit(layer.hmac, i);
  const options = () => layer.options({ hmac });

  test("differs", () => {
    expect(isSameHmac(layer.hmac, { hmac: Uint8Array.from(hmac) })).toBe(false);
  });

  test("does not open in memory", async () => {
    expect(await openWhole(layer.ciphertext, options())).toBeNull();
  });

  test("is not released from a spool", async () => {
    const call = { ciphertext: layer.ciphertext, options: options(), spoolMemory: 0 };
    expect(await release(folder, call)).toMatchObject({ code: "AUTHENTICATION", written: Buffer.alloc(0) });
  });

  test("is not approved by the decryptor", () => {
    const decryptor = new LayerDecryptor(options());
    decryptor.update(layer.ciphertext);
    expect(() => decryptor.finish("sha256:00")).toThrow(expect.objectContaining({ code: "AUTHENTICATION" }));
  });

  test("is not that of the file", () => {
    expect(isAuthenticFile(FileInput.open(path, "the blob"), options())).toBe(false);
  });
});

test("the right HMAC is the same everywhere", () => {
  expect(isSameHmac(layer.hmac, { hmac: Uint8Array.from(layer.hmac) })).toBe(true);
  expect(isAuthenticFile(FileInput.open(path, "the blob"), layer.options())).toBe(true);
  const decryptor = new LayerDecryptor(layer.options());
  expect(Buffer.from(decryptor.update(layer.ciphertext))).toEqual(Buffer.from(layer.plaintext));
  expect(() => decryptor.finish("sha256:00")).not.toThrow();
});

test("a file that can't be read is not authentic", () => {
  const blob = FileInput.open(path, "the blob");
  blob.close();
  expect(isAuthenticFile(blob, layer.options())).toBe(false);
});

test.each([0, 16, 31, 33])("an HMAC of %i bytes is never the same", (length) => {
  const hmac = new Uint8Array(length);
  hmac.set(layer.hmac.subarray(0, length));
  expect(isSameHmac(layer.hmac, { hmac })).toBe(false);
});

test.each([0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])("a file of %i bytes is authenticated to its last", (size) => {
  const { ciphertext, options } = encryptLayer(plainBytes(size));
  const sized = join(folder, "sized");
  writeFileSync(sized, ciphertext);
  expect(isAuthenticFile(FileInput.open(sized, "the blob"), options())).toBe(true);
});
